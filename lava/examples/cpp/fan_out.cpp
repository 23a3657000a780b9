// One producer, many consumers, each a process: `fan_out 4` starts four workers, sends 1000 frames to all of them at once, and
// tells what each connection did. All workers read the same memory.
#include <lava.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

static constexpr std::uint32_t FRAMES = 1000;
static constexpr std::size_t WORDS = 16384;

// Checks that every frame arrives, in order.
static int work(const std::string &channel) {
    auto context = lava::context::create();
    auto consumer = lava::consumer::open(context, channel);
    std::uint32_t count = 0;
    while (auto frame = consumer.receive<std::uint32_t>()) {
        const auto is_right = [count](std::uint32_t word) { return word == count; };
        if (frame->size() != WORDS || !std::all_of(frame->begin(), frame->end(), is_right)) return 1;
        count++;
    }
    return count == FRAMES ? 0 : 1;
}

static int produce(const std::string &channel, std::uint32_t workers) {
    auto context = lava::context::create();
    auto producer = lava::producer::create(context, channel);
    if (!producer.wait_consumers(workers, std::chrono::seconds(20))) {
        std::cerr << "only " << producer.consumer_count() << " workers came\n";
        return 1;
    }
    for (std::uint32_t number = 0; number < FRAMES; number++) {
        auto loan = producer.loan<std::uint32_t>(WORDS);
        std::fill(loan.begin(), loan.end(), number);
        producer.send(std::move(loan));
    }
    for (const lava::connection &worker : producer.connections())
        std::cout << "process " << worker.peer_process() << ": " << worker.frames() << " frames, " << worker.copies()
                  << " copies\n";
    return 0;
}

int main(int count, char **arguments) try {
    const int workers = count > 1 ? std::stoi(arguments[1]) : 3;
    if (workers < 1 || workers > LAVA_CONSUMERS_MAX) {
        std::cerr << workers << " workers: 1 to " << LAVA_CONSUMERS_MAX << " of them\n";
        return 2;
    }
    const std::string channel = "fan_out-" + std::to_string(getpid());
    // Before any context: those of the parent are of no use in a forked child.
    for (int at = 0; at < workers; at++) {
        const pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0) return work(channel);
    }
    int failed = produce(channel, static_cast<std::uint32_t>(workers)), status = 0;
    while (wait(&status) > 0) failed |= status != 0 ? 1 : 0;
    std::cout << (failed != 0 ? "failed\n" : "every worker has seen every frame\n");
    return failed;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
