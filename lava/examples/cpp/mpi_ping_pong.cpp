// Frames there and back between two ranks of an MPI job, on one host or two: `mpirun -n 2 mpi_ping_pong 1000`. The program knows
// nothing of MPI; between ranks of one host the frames take shared memory.
#include <lava.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

static constexpr std::size_t WORDS = 8192;

static void send(lava::producer &producer, std::uint64_t number) {
    auto loan = producer.loan<std::uint64_t>(WORDS);
    std::fill(loan.begin(), loan.end(), number);
    producer.send(std::move(loan));
}

static void ping(lava::producer &producer, lava::consumer &consumer, std::uint64_t count) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t number = 0; number < count; number++) {
        send(producer, number);
        const auto back = consumer.receive<std::uint64_t>();
        if (!back || back->size() != WORDS || (*back)[WORDS - 1] != number) throw std::runtime_error("another frame came");
    }
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    std::cout << count << " round trips of " << WORDS * 8 << " bytes, " << time.count() / static_cast<double>(count)
              << " us each: " << consumer.connection().reason() << "\n";
}

static void pong(lava::producer &producer, lava::consumer &consumer) {
    while (const auto frame = consumer.receive<std::uint64_t>()) send(producer, (*frame)[0]);
}

int main(int count, char **arguments) try {
    const std::uint64_t trips = count > 1 ? std::stoull(arguments[1]) : 1000;
    auto context = lava::context::create();
    if (context.peer_count(60s) < 2) { // all ranks meet here
        std::cerr << "start it as `mpirun -n 2 mpi_ping_pong`\n";
        return 2;
    }
    const std::uint32_t rank = lava::location::current(context).rank().value_or(0);
    if (rank > 1) return 0;
    auto producer = lava::producer::create(context, rank == 0 ? "ping" : "pong");
    lava::consumer_options options;
    options.timeout = 60s;
    auto consumer = lava::consumer::open(context, rank == 0 ? "pong" : "ping", options);
    if (rank == 0) ping(producer, consumer, trips);
    else pong(producer, consumer);
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
