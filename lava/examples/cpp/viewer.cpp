// Looks at the images of `camera`, until it ends.
#include <lava.hpp>

#include <cstdint>
#include <iostream>
#include <numeric>

int main() try {
    auto context = lava::context::create();
    lava::consumer_options options;
    options.memory = lava::memory::standard; // the CPU looks at them, wherever the camera has them
    auto consumer = lava::consumer::open(context, "camera", options);
    const auto connection = consumer.connection();
    std::cout << connection.copies() << " copies: " << connection.reason() << "\n";

    for (lava::frame &image : consumer.frames()) {
        const auto tensor = image.tensor();
        const auto pixels = image.as<std::uint8_t>();
        if (!tensor || pixels.empty()) continue;
        std::cout << "image " << image.info().tag() << ": [";
        for (const std::int64_t extent : tensor->shape()) std::cout << extent << " ";
        const std::uint64_t sum = std::accumulate(pixels.begin(), pixels.end(), std::uint64_t { 0 });
        std::cout << "], mean " << sum / pixels.size() << "\n";
    }
    std::cout << "the camera has ended\n";
} catch (const lava::error &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
