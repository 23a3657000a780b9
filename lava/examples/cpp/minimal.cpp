// Three frames from one process to any others: `minimal` receives, `minimal send` sends.
#include <lava.hpp>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string_view>

int main(int count, char **arguments) try {
    auto context = lava::context::create();
    if (count > 1 && std::string_view(arguments[1]) == "send") {
        auto producer = lava::producer::create(context, "numbers");
        for (std::uint32_t number = 0; number < 3; number++) {
            auto loan = producer.loan<std::uint32_t>(1000); // in memory that the receivers map
            std::fill(loan.begin(), loan.end(), number);
            producer.send(std::move(loan)); // waits until a receiver is there
        }
    } else {
        auto consumer = lava::consumer::open(context, "numbers");
        std::cout << consumer.connection().reason() << "\n";
        for (lava::frame &frame : consumer.frames()) { // the very same memory; the next step gives it back
            std::cout << frame.size() << " bytes of " << std::to_integer<int>(frame.bytes()[0]) << "\n";
        }
    }
} catch (const lava::error &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
