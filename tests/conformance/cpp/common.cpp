#include "conformance.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

std::string message;

void fail(const char *file, int line, const char *text) {
    std::fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
    std::exit(1);
}

void expect(const char *file, int line, const char *call, lava::status found, lava::status wanted) {
    if (found == wanted) return;
    std::fprintf(stderr, "%s:%d: %s gave %s, wanted %s: %s\n", file, line, call, name_of(found), name_of(wanted),
        message.c_str());
    std::exit(1);
}

lava::transport expected_transport() {
    const char *wanted = std::getenv("CONFORMANCE_TRANSPORT");
    return wanted != nullptr && std::string_view(wanted) == "mpi" ? lava::transport::mpi : lava::transport::shm;
}

std::string_view expected_transport_word() {
    return expected_transport() == lava::transport::mpi ? "\"mpi\"" : "\"shm\"";
}

std::uint32_t expected_copies() { return expected_transport() == lava::transport::mpi; }

void meet(const char *word) {
    std::cout << "meet " << word << std::endl;
    std::string line;
    if (std::getline(std::cin, line) && line == std::string("go ") + word) return;
    std::fprintf(stderr, "the other part did not come to `%s`\n", word);
    std::exit(1);
}

void die() {
    std::cout << "dying" << std::endl;
    std::raise(SIGKILL);
    std::abort();
}

static unsigned char pattern(std::uint64_t number, std::size_t at) {
    return static_cast<unsigned char>(number * 131 + at * 7 + at / 256);
}

void fill(void *data, std::uint64_t number, std::size_t size) {
    for (std::size_t at = 0; at < size; at++) static_cast<unsigned char *>(data)[at] = pattern(number, at);
}

bool is_filled(const void *data, std::uint64_t number, std::size_t size) {
    for (std::size_t at = 0; at < size; at++)
        if (static_cast<const unsigned char *>(data)[at] != pattern(number, at)) return false;
    return true;
}

sender open_sender(const std::string &channel, const lava::producer_options &options, std::uint32_t consumers) {
    sender side;
    side.context = lava::context::create();
    side.producer = lava::producer::create(side.context, channel, options);
    if (consumers > 0) CHECK(side.producer.wait_consumers(consumers, LONG));
    return side;
}

receiver open_receiver(const std::string &channel) {
    receiver side;
    side.context = lava::context::create();
    side.consumer = lava::consumer::open(side.context, channel);
    return side;
}

void send_number(lava::producer &producer, std::uint64_t number) {
    std::array<unsigned char, 8> bytes;
    for (std::size_t at = 0; at < 8; at++) bytes[at] = static_cast<unsigned char>(number >> (8 * at));
    CHECK(producer.send_bytes_for(bytes.data(), bytes.size(), LONG));
}

std::uint64_t number_in(lava::frame_view frame) {
    CHECK(frame.size() == 8);
    std::uint64_t number = 0;
    std::size_t at = 0;
    for (const unsigned char byte : frame.as<unsigned char>()) number |= std::uint64_t { byte } << (8 * at++);
    return number;
}

lava::frame receive(lava::consumer &consumer) {
    auto frame = consumer.receive_for(LONG);
    CHECK(frame.has_value());
    return *std::move(frame);
}

void receive_number(lava::consumer &consumer, std::uint64_t number, std::uint64_t sequence) {
    const lava::frame frame = receive(consumer);
    const std::uint64_t found = number_in(frame);
    if (found == number && frame.info().sequence() == sequence) return;
    std::cerr << "frame " << number << " has number " << found << ", sequence " << frame.info().sequence()
              << "; wanted sequence " << sequence << "\n";
    std::exit(1);
}

void send_pattern(lava::producer &producer, std::uint64_t number, std::size_t size) {
    auto loan = producer.loan_for(size, LONG);
    CHECK(loan.has_value());
    fill(loan->data(), number, size);
    CHECK(producer.send_for(*std::move(loan), LONG));
}

void receive_pattern(lava::consumer &consumer, std::uint64_t number, std::size_t size) {
    CHECK(has_pattern(receive(consumer), number, size));
}

void receive_end(lava::consumer &consumer) { EXPECT(consumer.receive_for(LONG), closed); }
