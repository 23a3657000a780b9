// The part of lava.hpp that never throws, in a program without exceptions and run-time type information.
#include <lava_cuda.hpp>
#include <lava_vulkan.hpp>

#include <cstdio>
#include <cstdlib>
#include <utility>

static_assert(LAVA_HPP_EXCEPTIONS == 0, "compile with -fno-exceptions");

#define CHECK(...) \
    do { \
        if (!(__VA_ARGS__)) { \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::exit(1); \
        } \
    } while (0)

int main() {
    auto context = lava::context::try_create();
    CHECK(context);
    auto producer = lava::producer::try_create(*context, "plain");
    auto consumer = lava::consumer::try_open(*context, "plain");
    CHECK(producer && consumer);
    CHECK(!lava::producer::try_create(*context, "plain"));
    auto loan = producer->try_loan(400);
    CHECK(loan);
    auto numbers = loan->try_as<float>();
    CHECK(numbers && numbers->size() == 100);
    for (float &number : *numbers) number = 2;
    CHECK(loan->try_set_tensor(lava::tensor::of<float>({ 10, 10 })));
    CHECK(producer->try_send(*std::move(loan)));
    auto frame = consumer->try_receive();
    CHECK(frame && frame->try_as<float>()->front() == 2);
    const auto tensor = frame->try_tensor();
    CHECK(tensor && *tensor && (*tensor)->shape()[1] == 10);
    auto typed = lava::typed_frame<float>::try_from(*std::move(frame));
    CHECK(typed && typed->size() == 100);
    CHECK(consumer->try_receive(lava::no_wait).error() == lava::status::would_block);
    const auto connection = consumer->try_connection();
    CHECK(connection && connection->transport() == lava::transport::shm);
    CHECK(consumer->try_describe() && context->try_describe());
    producer->reset();
    CHECK(consumer->try_receive().error() == lava::status::closed);
    CHECK(lava::make_error_code(lava::status::closed).category().name()[0] == 'l');
    return 0;
}
