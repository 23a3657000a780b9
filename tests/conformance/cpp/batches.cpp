// Many frames in one call, and frames given back in every order.
#include "conformance.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

static constexpr std::size_t PARTS = 100;

void batch_bytes_producer(const std::string &channel) {
    lava::producer_options options;
    options.max_frame_size = PARTS;
    options.capacity = PARTS;
    options.queue_length = 128;
    sender side = open_sender(channel, options);
    std::vector<std::vector<unsigned char>> data;
    std::vector<lava_bytes> parts;
    for (std::size_t number = 0; number < PARTS; number++) {
        data.emplace_back(number);
        fill(data.back().data(), number, number);
        parts.push_back({ number > 0 ? data.back().data() : nullptr, number });
    }
    std::size_t sent = 0;
    EXPECT(side.producer.try_send_bytes_many(parts, sent, LONG), ok);
    CHECK(sent == PARTS);
    EXPECT(side.producer.try_send_bytes_many({}, sent, LONG), ok);
    CHECK(sent == 0);
}

void batch_bytes_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    lava::frames frames(32);
    std::size_t number = 0;
    std::uint64_t timestamp = 0;
    while (number < PARTS) {
        CHECK(side.consumer.receive_many(frames) == frames.size() && !frames.empty());
        for (const lava::frame_view frame : frames) {
            const lava::frame_info info = frame.info();
            if (number == 0) timestamp = info.timestamp_ns();
            CHECK(info.sequence() == number && info.timestamp_ns() == timestamp);
            CHECK(has_pattern(frame, number, number));
            number++;
        }
        frames.clear();
    }
    EXPECT(side.consumer.try_receive_many(frames, LONG), closed);
    CHECK(frames.empty() && side.consumer.receive_many(frames) == 0);
}

static constexpr std::size_t BATCH = 16;

void batch_loans_producer(const std::string &channel) {
    lava::producer_options options;
    options.capacity = BATCH;
    options.max_frame_size = 4096;
    sender side = open_sender(channel, options);
    lava::loans loans(BATCH), extra(1);
    for (std::size_t round = 0; round < 20; round++) {
        while (loans.size() < BATCH) CHECK(side.producer.loan_many(loans, 4096) >= 1);
        EXPECT(side.producer.try_loan_many(extra, 4096, lava::no_wait), would_block);
        CHECK(extra.empty());
        for (std::size_t at = 0; at < BATCH; at++) fill(loans[at].data(), round * BATCH + at, 4096);
        side.producer.send_many(loans);
        CHECK(loans.empty());
    }
}

void batch_loans_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    lava::frames frames(BATCH);
    std::size_t number = 0;
    while (number < 20 * BATCH) {
        side.consumer.receive_many(frames);
        for (const lava::frame_view frame : frames) CHECK(has_pattern(frame, number++, 4096));
        frames.clear();
    }
    receive_end(side.consumer);
}

static void send_patterns(const std::string &channel, std::uint64_t count, std::size_t size) {
    lava::producer_options options;
    options.capacity = 4;
    options.max_frame_size = size;
    sender side = open_sender(channel, options);
    for (std::uint64_t number = 0; number < count; number++) send_pattern(side.producer, number, size);
}

void release_order_producer(const std::string &channel) { send_patterns(channel, 200, 1000); }

void release_order_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    for (std::uint64_t round = 0; round < 50; round++) {
        std::vector<lava::frame> frames;
        for (std::uint64_t at = 0; at < 4; at++) {
            frames.push_back(receive(side.consumer));
            CHECK(has_pattern(frames[at], round * 4 + at, 1000));
        }
        for (const std::size_t at : { 2u, 0u, 3u, 1u }) frames[at].reset();
    }
    receive_end(side.consumer);
}

void release_thread_producer(const std::string &channel) { send_patterns(channel, 1000, 512); }

// Four places between the thread that receives and the one that releases.
class queue {
public:
    void put(lava::frame frame) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return frames_.size() < 4; });
        frames_.push_back(std::move(frame));
        changed_.notify_all();
    }
    lava::frame take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !frames_.empty(); });
        lava::frame frame = std::move(frames_.front());
        frames_.pop_front();
        changed_.notify_all();
        return frame;
    }

private:
    std::mutex mutex_ {};
    std::condition_variable changed_ {};
    std::deque<lava::frame> frames_ {};
};

void release_thread_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    queue waiting;
    std::thread releasing([&waiting] {
        for (std::uint64_t number = 0; number < 1000; number++) CHECK(has_pattern(waiting.take(), number, 512));
    });
    for (std::uint64_t number = 0; number < 1000; number++) waiting.put(receive(side.consumer));
    releasing.join();
    receive_end(side.consumer);
}
