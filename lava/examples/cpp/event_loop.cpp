// Receives from two channels and a timer in one thread, by epoll. The producers are a thread of this process.
#include <lava.hpp>

#include <cerrno>
#include <cstdint>
#include <iostream>
#include <string>
#include <system_error>
#include <thread>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

// A descriptor of this program.
class descriptor {
public:
    explicit descriptor(int fd) : fd_(fd) {
        if (fd < 0) throw std::system_error(errno, std::generic_category());
    }
    descriptor(const descriptor &) = delete;
    descriptor &operator=(const descriptor &) = delete;
    ~descriptor() { close(fd_); }
    int get() const { return fd_; }

private:
    int fd_;
};

struct channel {
    channel(const lava::context &context, std::string called)
        : name(std::move(called)), producer(lava::producer::create(context, name)),
          consumer(lava::consumer::open(context, name)) {}
    std::string name;
    lava::producer producer;
    lava::consumer consumer;
};

static void watch(const descriptor &epoll, int fd, channel *one) {
    epoll_event event {};
    event.events = EPOLLIN;
    event.data.ptr = one;
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw std::system_error(errno, std::generic_category());
}

// Takes all that is there, which arms the descriptor again. Whether the channel has ended.
static bool drain(channel &one) {
    for (;;) {
        auto frame = one.consumer.receive_for(lava::no_wait);
        if (!frame) return frame.error() == lava::status::closed;
        std::cout << one.name << ": " << int { frame->as<std::uint8_t>()[0] } << "\n";
    }
}

static void loop(const descriptor &epoll, const descriptor &timer) {
    for (int open = 2; open > 0;) {
        epoll_event events[4];
        const int count = epoll_wait(epoll.get(), events, 4, -1);
        for (int at = 0; at < count; at++) {
            auto *const one = static_cast<channel *>(events[at].data.ptr);
            std::uint64_t ticks;
            if (one == nullptr) {
                if (read(timer.get(), &ticks, sizeof ticks) == sizeof ticks) std::cout << "the timer\n";
            } else if (drain(*one)) {
                one->consumer.reset(); // its descriptor goes out of the epoll with it
                open--;
            }
        }
    }
}

int main() try {
    auto context = lava::context::create();
    channel left(context, "left-" + std::to_string(getpid())), right(context, "right-" + std::to_string(getpid()));
    const descriptor epoll(epoll_create1(EPOLL_CLOEXEC)), timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    const itimerspec soon { { 0, 0 }, { 0, 1000000 } };
    timerfd_settime(timer.get(), 0, &soon, nullptr);
    watch(epoll, timer.get(), nullptr);
    watch(epoll, left.consumer.event_fd(), &left);
    watch(epoll, right.consumer.event_fd(), &right);
    std::thread writer([&left, &right] {
        for (std::uint8_t number = 0; number < 10; number++)
            for (channel *one : { &left, &right }) (void)one->producer.try_send_bytes(&number, 1);
        left.producer.reset();
        right.producer.reset();
    });
    loop(epoll, timer);
    writer.join();
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
