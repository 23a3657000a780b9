// Sends ten images a second, whether anybody looks or not. Start it, and `viewer` any number of times: `camera 100` sends 100
// images.
#include <lava.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>

int main(int count, char **arguments) try {
    const std::uint64_t images = count > 1 ? std::stoull(arguments[1]) : 100;
    const auto tensor = lava::tensor::of<std::uint8_t>({ 480, 640, 3 });
    constexpr std::size_t size = 480 * 640 * 3;

    auto context = lava::context::create();
    lava::producer_options options;
    options.max_frame_size = size;
    options.policy = lava::policy::drop_oldest;
    auto producer = lava::producer::create(context, "camera", options);
    for (std::uint64_t number = 0; number < images; number++) {
        // No slot is free if slow viewers hold them all: this image is lost, and the next one is tried.
        if (auto image = producer.loan_for<std::uint8_t>(size, lava::no_wait)) {
            // The camera writes here, where the viewers read.
            std::fill(image->begin(), image->end(), static_cast<std::uint8_t>(number));
            image->set_tensor(tensor);
            image->set_tag(number);
            producer.send(*std::move(image));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    for (const lava::connection &viewer : producer.connections())
        std::cout << "process " << viewer.peer_process() << ": " << viewer.frames() << " images, " << viewer.dropped()
                  << " dropped\n";
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
