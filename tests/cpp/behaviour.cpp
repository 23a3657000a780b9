// What lava.hpp promises beyond the C interface: ownership, errors, time, types, ranges. One process, both ends.
#include <lava_cuda.hpp>
#include <lava_vulkan.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <type_traits>

#if defined(__cpp_lib_ranges) && !defined(__clang__)
#include <ranges>
#endif

using namespace std::chrono_literals;

#define CHECK(...) \
    do { \
        if (!(__VA_ARGS__)) { \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::exit(1); \
        } \
    } while (0)

struct point {
    float x, y, z;
};

// Both ends of a channel.
struct pair {
    explicit pair(const char *name, const lava::producer_options &options = {})
        : producer(lava::producer::create(context, name, options)), consumer(lava::consumer::open(context, name)) {}
    lava::context context = lava::context::create();
    lava::producer producer;
    lava::consumer consumer;
};

template <class Handle>
constexpr bool is_move_only = std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle>
    && !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;

static_assert(is_move_only<lava::context> && is_move_only<lava::producer> && is_move_only<lava::consumer>);
static_assert(is_move_only<lava::buffer> && is_move_only<lava::loan> && is_move_only<lava::frame>);
static_assert(is_move_only<lava::typed_loan<float>> && is_move_only<lava::typed_frame<float>>);
// A handle is as large as the pointer that it owns.
static_assert(sizeof(lava::frame) == sizeof(void *) && sizeof(lava::producer) == sizeof(void *));
#if LAVA_HPP_STD_SPAN
static_assert(std::is_same_v<lava::span<int>, std::span<int>>);
#endif
#if LAVA_HPP_STD_EXPECTED
static_assert(std::is_same_v<lava::outcome<lava::frame>, std::expected<lava::frame, lava::status>>);
#endif

static void ownership() {
    pair ends("ownership");
    lava::loan loan = ends.producer.loan(4096);
    lava::loan moved = std::move(loan);
    CHECK(!loan && moved && moved.size() == 4096);
    moved = ends.producer.loan(100);
    CHECK(moved.size() == 100);
    lava_frame *raw = moved.release();
    CHECK(!moved && raw != nullptr);
    moved = lava::loan::adopt(raw);
    ends.producer.send(std::move(moved));
    CHECK(!moved);
    moved.reset();
    lava::frame frame = *ends.consumer.receive();
    ends.producer.reset();
    ends.consumer.reset();
    ends.context.reset();
    CHECK(frame && frame.size() == 100);
    lava::context empty;
    CHECK(!empty && empty.native_handle() == nullptr);
    CHECK(!lava::producer::try_create(empty, "x"));
}

static void errors() {
    const auto context = lava::context::create();
    auto wrong = lava::producer::try_create(context, "no such name!");
    CHECK(!wrong && wrong.error().status() == lava::status::invalid_argument && !wrong.error().message().empty());
    CHECK(wrong.error().code() == std::errc::invalid_argument && wrong.error().code().category() == lava::lava_category());
    try {
        (void)lava::producer::create(context, "no such name!");
        CHECK(false);
    } catch (const std::system_error &error) {
        CHECK(error.code() == lava::status::invalid_argument);
        CHECK(std::string(error.what()).find("no such name!") != std::string::npos);
    }
    CHECK(lava::make_error_code(lava::status::timed_out) == std::errc::timed_out);
    CHECK(lava::make_error_code(lava::status::peer_lost).message() != "");
    CHECK(std::string(name_of(lava::status::closed)) == "LAVA_CLOSED");
    CHECK(!is_error(lava::status::closed) && is_error(lava::status::device));
    // A status that only a newer library knows.
    const auto unknown = static_cast<lava::status>(-12345);
    CHECK(is_error(unknown) && lava::make_error_code(unknown).message() == "LAVA_UNKNOWN_STATUS");
    try {
        pair ends("errors");
        (void)ends.producer.loan(1 << 30);
        CHECK(false);
    } catch (const lava::error &error) {
        CHECK(error.status() == lava::status::too_large && error.failure().status() == lava::status::too_large);
    }
    const std::string long_text(1000, 'x');
    CHECK(lava::failure(lava::status::os, long_text).message().size() == LAVA_ERROR_MESSAGE_SIZE - 1);
}

static void timeouts() {
    const auto count = [](lava::timeout time) { return time.nanoseconds(); };
    CHECK(count(3ms) == 3000000 && count(0s) == LAVA_NO_WAIT && count(-1s) == LAVA_NO_WAIT);
    CHECK(count(lava::forever) == LAVA_FOREVER && count(lava::no_wait) == LAVA_NO_WAIT);
    // Never shorter than asked for, never by accident for ever.
    CHECK(count(std::chrono::duration<double>(1e-10)) == 1);
    CHECK(count(std::chrono::duration<double>(1e30)) == LAVA_FOREVER - 1);
    CHECK(count(std::chrono::hours::max()) == LAVA_FOREVER - 1);
    CHECK(count(std::chrono::nanoseconds::max()) == LAVA_FOREVER - 1);
    CHECK(count(std::chrono::steady_clock::now() - 1s) == LAVA_NO_WAIT);
    const std::uint64_t until = count(std::chrono::steady_clock::now() + 1h);
    CHECK(until > 3500u * 1000000000ull && until <= 3600u * 1000000000ull);
}

static void types() {
    pair ends("types");
    auto loan = ends.producer.loan<point>(100);
    CHECK(loan.size() == 100 && loan.size_bytes() == 1200);
    std::fill(loan.begin(), loan.end(), point { 1, 2, 3 });
    loan[99].z = 4;
    loan.set_tag(5);
#if LAVA_HPP_STD_SPAN
    static_assert(std::ranges::contiguous_range<decltype(loan)> && std::ranges::sized_range<decltype(loan)>);
    const std::span<point> all = loan;
    CHECK(all.size() == 100 && all.data() == loan.data());
#endif
    ends.producer.send(std::move(loan));
    // Not those of a slot that is the consumers' now.
    CHECK(loan.empty() && loan.begin() == loan.end() && loan.values().empty());
    auto frame = ends.consumer.receive<point>();
    CHECK(frame && frame->size() == 100 && (*frame)[99].z == 4 && frame->info().tag() == 5);
    float sum = 0;
    for (const point &one : *frame) sum += one.x;
    CHECK(sum == 100);
    CHECK(frame->copy<float>().size() == 300);
    // 1200 bytes are 300 floats, and no whole number of 7-byte pieces.
    struct odd {
        char bytes[7];
    };
    CHECK(frame->try_as<float>()->size() == 300 && !frame->try_as<odd>());
    CHECK(frame->try_as<odd>().error().status() == lava::status::invalid_argument);
    // An inline frame is aligned to 8.
    struct alignas(64) line {
        char bytes[64];
    };
    ends.producer.send_bytes("abc", 3);
    auto small = *ends.consumer.receive();
    CHECK(small.try_as<char>()->size() == 3 && !small.try_as<line>() && !small.try_as<short>());
    ends.producer.send_bytes(nullptr, 0);
    CHECK(ends.consumer.receive<double>()->empty());
    // One that does not fit is given back, and the channel goes on.
    ends.producer.send_bytes("abc", 3);
    try {
        (void)ends.consumer.receive<double>();
        CHECK(false);
    } catch (const lava::error &error) {
        CHECK(error.status() == lava::status::invalid_argument);
    }
    auto none = lava::typed_loan<double>::try_from(ends.producer.loan(9));
    CHECK(!none && none.error().value() == 9);
    try {
        (void)ends.producer.loan<double>(SIZE_MAX / 4);
        CHECK(false);
    } catch (const lava::error &error) {
        CHECK(error.status() == lava::status::too_large);
    }
}

static void ranges() {
    pair ends("ranges");
    for (unsigned number = 0; number < 10; number++) ends.producer.send_bytes(&number, sizeof number);
    unsigned wanted = 0;
    std::optional<lava::frame> kept;
    for (lava::frame &frame : ends.consumer.frames()) {
        CHECK(frame.as<unsigned>()[0] == wanted++);
        if (wanted == 2) kept = std::move(frame);
        if (wanted == 3) break;
    }
    CHECK(kept && kept->as<unsigned>()[0] == 1);
    // Leaving the loop took none too many.
    CHECK(ends.consumer.receive()->as<unsigned>()[0] == 3);
#if defined(__cpp_lib_ranges) && !defined(__clang__)
    static_assert(std::ranges::input_range<lava::frame_range>);
    for (lava::frame &frame : ends.consumer.frames() | std::views::take(2))
        CHECK(frame.as<unsigned>()[0] == ++wanted);
    CHECK(ends.consumer.receive()->as<unsigned>()[0] == 6);
    wanted = 6;
#else
    wanted = 3;
#endif
    ends.producer.reset();
    for (const lava::frame &frame : ends.consumer.frames()) CHECK(frame.as<unsigned>()[0] == ++wanted);
    CHECK(wanted == 9);
    CHECK(ends.consumer.receive_for(1ms).error() == lava::status::closed);
}

static void batches() {
    pair ends("batches");
    lava::loans loans(4);
    CHECK(ends.producer.loan_many(loans, 64) == 4);
    for (const lava::loan_view one : loans) one.as<char>()[0] = 'a';
    lava::loan last = loans.take_last();
    CHECK(last && loans.size() == 3);
    ends.producer.send_many(loans);
    CHECK(loans.empty() && !loans.take_last());
    lava::frames frames(8);
    CHECK(ends.consumer.receive_many(frames) == 3);
    CHECK(std::all_of(frames.begin(), frames.end(), [](lava::frame_view one) { return one.as<char>()[0] == 'a'; }));
    lava::frames taken = std::move(frames);
    CHECK(taken.size() == 3 && frames.empty());
    // Added to, not replaced.
    ends.producer.send(std::move(last));
    CHECK(ends.consumer.receive_many(taken) == 1 && taken.size() == 4 && taken[3].size() == 64);
}

static void options() {
    const std::string directory = std::string(std::getenv("LAVA_RUNTIME_DIR")) + "/options";
    std::atomic<int> lines = 0;
    lava::context_options made;
    made.runtime_directory = directory;
    made.log = [&lines](lava::log_level, std::string_view) { lines++; };
    made.log_level = lava::log_level::debug;
    made.spin = lava::no_wait;
    made.gpus = lava::gpus::off;
    auto context = lava::context::create(made);
    CHECK(context.describe().find(directory) != std::string::npos);
    CHECK(context.try_devices().error().status() == lava::status::device);
    lava::producer_options device;
    device.memory = lava::memory::device;
    device.fallback = { lava::memory::pinned, lava::memory::standard };
    auto producer = lava::producer::create(context, std::string("options"), device);
    auto consumer = lava::consumer::open(context, "options");
    producer.send_bytes("x", 1);
    CHECK(consumer.receive()->info().memory() != lava::memory::device);
    // Taken from a temporary, which has gone when the loop begins.
    for (const lava::rejection &one : consumer.connection().rejections()) CHECK(!one.reason().empty());
    device.fallback = { lava::memory::numa, lava::memory::numa, lava::memory::numa, lava::memory::numa, lava::memory::numa,
        lava::memory::numa };
    CHECK(lava::producer::try_create(context, "many", device).error().status() == lava::status::invalid_argument);
    producer.reset();
    consumer.reset();
    context.reset();
    CHECK(lines > 0);
    made.mpi = lava::mpi::off;
    const auto outside = lava::context::create(made);
    CHECK(outside.peer_count(lava::no_wait) == 0 && !outside.progress(lava::no_wait));
    CHECK(!lava::location::try_of_rank(outside, 0) && outside.describe_mpi()[0] == '{');
    lava::uuid uuid {};
    uuid[0] = 0x1f;
    CHECK(lava::to_string(uuid) == "1f000000-0000-0000-0000-000000000000");
    CHECK(lava::abi_matches() && lava::version()[0] < 100);
}

static void stops() {
#if LAVA_HPP_STD_STOP_TOKEN
    pair ends("stops");
    std::stop_source source;
    ends.producer.send_bytes("x", 1);
    CHECK(ends.consumer.receive(source.get_token()).has_value());
    std::jthread sending([&ends] { ends.producer.send_bytes("y", 1); });
    CHECK(ends.consumer.receive(source.get_token()).has_value());
    std::jthread stopping([&source] {
        std::this_thread::sleep_for(5ms);
        source.request_stop();
    });
    CHECK(ends.consumer.receive(source.get_token()).error() == lava::status::would_block);
    // What is there comes first, also when the stop was requested before.
    sending.join();
    ends.producer.send_bytes("z", 1);
    CHECK(ends.consumer.receive(source.get_token()).has_value());
    CHECK(ends.consumer.receive(source.get_token()).error() == lava::status::would_block);
    ends.producer.reset();
    CHECK(ends.consumer.receive(std::stop_token()).error() == lava::status::closed);
#endif
}

static void other_apis() {
    pair ends("other_apis");
    lava::loan loan = ends.producer.loan(4096);
    // Host memory: nothing to signal, nothing to wait for, no GPU knows of it.
    CHECK(!lava::vulkan::next_ready(loan));
    CHECK(lava::vulkan::try_view(loan.buffer().buffer).error().status() == lava::status::unsupported);
    CHECK(!lava::cuda::try_view(loan.view()));
    CHECK(lava::cuda::try_set_ready(loan, nullptr).has_value());
    ends.producer.send(std::move(loan));
    lava::frame frame = *ends.consumer.receive();
    CHECK(!lava::vulkan::ready(frame) && lava::cuda::try_wait(frame, nullptr).has_value());
    CHECK(!lava::cuda::try_release(std::move(frame), nullptr) && frame);
    CHECK(lava::vulkan::try_release_after(std::move(frame), lava::vulkan::timeline_point()).error().status()
        != lava::status::ok);
    CHECK(frame);
    lava::vulkan::release_after(std::move(frame), std::nullopt);
    CHECK(!frame);
    std::mutex mutex;
    lava::vulkan::device device;
    device.queue_mutex = &mutex;
    const lava_vulkan_device raw = device.native();
    raw.lock(raw.user);
    CHECK(!mutex.try_lock());
    raw.unlock(raw.user);
    CHECK(mutex.try_lock());
    mutex.unlock();
}

int main() {
    ownership();
    errors();
    timeouts();
    types();
    ranges();
    batches();
    options();
    stops();
    other_apis();
    return 0;
}
