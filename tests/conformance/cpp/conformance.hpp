// What every scenario uses: checks, patterns, meeting points.
#ifndef CONFORMANCE_HPP
#define CONFORMANCE_HPP

#include <lava.hpp>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;

inline constexpr auto LONG = 10s;
inline constexpr auto SHORT = 20ms;

// Ends the program with a message unless the condition holds.
#define CHECK(...) \
    do { \
        if (!(__VA_ARGS__)) fail(__FILE__, __LINE__, #__VA_ARGS__); \
    } while (0)

// Ends the program unless the call of a `try_` function gives this status.
#define EXPECT(call, wanted) expect(__FILE__, __LINE__, #call, status_of(call), lava::status::wanted)

[[noreturn]] void fail(const char *file, int line, const char *text);
void expect(const char *file, int line, const char *call, lava::status found, lava::status wanted);

template <class T>
lava::status status_of(const lava::outcome<T> &found) {
    return found ? lava::status::ok : found.error();
}

// Of a failed call also keeps the message.
extern std::string message;
template <class T>
lava::status status_of(const lava::result<T> &found) {
    message = found ? std::string() : std::string(found.error().message());
    return found ? lava::status::ok : found.error().status();
}

// The transport of frames in host memory, between the two parts, and its word in descriptions.
lava::transport expected_transport();
std::string_view expected_transport_word();
// Copies that lava makes of its frames.
std::uint32_t expected_copies();

// Waits until every other part has come to the same word.
void meet(const char *word);
// Says that this process is about to kill itself, and does so.
[[noreturn]] void die();

using clock_type = std::chrono::steady_clock;

void fill(void *data, std::uint64_t number, std::size_t size);
bool is_filled(const void *data, std::uint64_t number, std::size_t size);
template <class Frame>
bool has_pattern(const Frame &frame, std::uint64_t number, std::size_t size) {
    return frame.size() == size && is_filled(frame.data(), number, size);
}

// One end, with a context of its own.
struct sender {
    lava::context context {};
    lava::producer producer {};
};
struct receiver {
    lava::context context {};
    lava::consumer consumer {};
};

// A channel of these options; it waits for its consumers if `consumers` is not 0.
sender open_sender(const std::string &channel, const lava::producer_options &options = {}, std::uint32_t consumers = 1);
receiver open_receiver(const std::string &channel);

void send_number(lava::producer &producer, std::uint64_t number);
// Receives the next frame, which must be this number with this sequence, and releases it.
void receive_number(lava::consumer &consumer, std::uint64_t number, std::uint64_t sequence);
std::uint64_t number_in(lava::frame_view frame);
void send_pattern(lava::producer &producer, std::uint64_t number, std::size_t size);
void receive_pattern(lava::consumer &consumer, std::uint64_t number, std::size_t size);
lava::frame receive(lava::consumer &consumer);
// The channel has ended for this consumer.
void receive_end(lava::consumer &consumer);

// Both parts of a scenario.
#define SCENARIO(name) \
    void name##_producer(const std::string &channel); \
    void name##_consumer(const std::string &channel);

#endif
