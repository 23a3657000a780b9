// Tags, timestamps, tensors.
#include "conformance.hpp"

#include <complex>
#include <cstdint>

void metadata_producer(const std::string &channel) {
    sender side = open_sender(channel);
    lava::producer_options options;
    options.no_timestamp = true;
    sender quiet = open_sender(channel + ".quiet", options);
    lava::loan loan = side.producer.loan(100);
    loan.set_tag(7);
    loan.set_timestamp(123456789);
    side.producer.send(std::move(loan));
    meet("before");
    send_number(side.producer, 1);
    send_number(quiet.producer, 0);
}

void metadata_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    receiver quiet = open_receiver(channel + ".quiet");
    {
        const lava::frame_info info = receive(side.consumer).info();
        CHECK(info.tag() == 7 && info.timestamp_ns() == 123456789 && info.sequence() == 0);
        CHECK(info.memory() == lava::memory::standard && info.transport() == expected_transport());
    }
    const auto before = clock_type::now();
    meet("before");
    {
        const lava::frame_info info = receive(side.consumer).info();
        CHECK(info.tag() == 0 && info.sequence() == 1);
        CHECK(info.timestamp() >= before && info.timestamp() <= clock_type::now());
    }
    CHECK(receive(quiet.consumer).info().timestamp_ns() == 0);
    receive_end(quiet.consumer);
    receive_end(side.consumer);
}

static void send_tensor(lava::producer &producer, std::size_t size, const lava::tensor *tensor, const void *data) {
    lava::loan loan = producer.loan(size);
    loan.write(0, data, size);
    if (tensor != nullptr) loan.set_tensor(*tensor);
    producer.send(std::move(loan));
}

void tensor_producer(const std::string &channel) {
    sender side = open_sender(channel);
    float floats[40];
    for (int at = 0; at < 40; at++) floats[at] = static_cast<float>(at - 16) * 0.5f;
    const auto cube = lava::tensor::of<float>({ 2, 3, 4 }).with_byte_offset(64);
    send_tensor(side.producer, sizeof floats, &cube, floats);
    const std::int64_t integers[] = { 10, -20, 30, -40 };
    const auto reversed = lava::tensor::of<std::int64_t>({ 4 }).with_byte_offset(24).with_strides({ -1 });
    send_tensor(side.producer, sizeof integers, &reversed, integers);
    const auto scalar = lava::tensor::of<std::uint8_t>({});
    send_tensor(side.producer, 1, &scalar, "A");
    const auto empty = lava::tensor::of<std::complex<double>>({ 5, 0 });
    send_tensor(side.producer, 16, &empty, floats);
    send_tensor(side.producer, 16, nullptr, floats);
}

static bool equal(const lava::extents &found, std::initializer_list<std::int64_t> wanted) {
    return std::equal(found.begin(), found.end(), wanted.begin(), wanted.end());
}

// The tensor of the next frame, with its strides.
static lava::tensor tensor_of(const lava::frame &frame) {
    CHECK(frame.info().has_tensor());
    const auto tensor = frame.tensor();
    CHECK(tensor.has_value() && tensor->strides().size() == tensor->shape().size());
    return *tensor;
}

void tensor_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        const lava::tensor tensor = tensor_of(frame);
        CHECK(tensor.type() == lava::data_type::of<float>() && tensor.byte_offset() == 64);
        CHECK(equal(tensor.shape(), { 2, 3, 4 }) && equal(tensor.strides(), { 12, 4, 1 }));
        CHECK(frame.as<float>()[16 + 23] == 11.5f);
    }
    {
        const lava::frame frame = receive(side.consumer);
        const lava::tensor tensor = tensor_of(frame);
        CHECK(tensor.type() == lava::data_type::of<std::int64_t>() && tensor.byte_offset() == 24);
        CHECK(equal(tensor.shape(), { 4 }) && equal(tensor.strides(), { -1 }));
        CHECK(frame.as<std::int64_t>()[tensor.byte_offset() / 8] == -40);
    }
    {
        const lava::frame frame = receive(side.consumer);
        const lava::tensor tensor = tensor_of(frame);
        CHECK(tensor.type() == lava::data_type::of<std::uint8_t>() && tensor.shape().empty());
        CHECK(frame.as<char>()[0] == 'A');
    }
    {
        const lava::tensor tensor = tensor_of(receive(side.consumer));
        CHECK(tensor.type() == lava::data_type::of<std::complex<double>>() && equal(tensor.shape(), { 5, 0 }));
    }
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(!frame.info().has_tensor() && !frame.tensor().has_value());
    }
    receive_end(side.consumer);
}

void tensor_refused_producer(const std::string &channel) {
    sender side = open_sender(channel);
    lava::loan loan = side.producer.loan(64);
    fill(loan.data(), 5, 64);
    const auto four = lava::tensor::of<float>({ 4 });
    EXPECT(loan.try_set_tensor(lava::tensor::of<float>({ 17 })), too_large);
    EXPECT(loan.try_set_tensor(lava::tensor::of<float>({ 16 }).with_byte_offset(4)), too_large);
    EXPECT(loan.try_set_tensor(lava::tensor::of<float>({ INT64_MAX, INT64_MAX })), invalid_argument);
    EXPECT(loan.try_set_tensor(four.with_strides({ -1 })), too_large);
    EXPECT(loan.try_set_tensor(lava::tensor::of<float>({ -4 })), invalid_argument);
    EXPECT(loan.try_set_tensor(lava::tensor({ LAVA_DTYPE_FLOAT, 32, 0 }, { 4 })), invalid_argument);
    EXPECT(loan.try_set_tensor(lava::tensor::of<float>({ 1, 1, 1, 1, 1, 1, 1, 1, 1 })), invalid_argument);
    CHECK(!message.empty());
    loan.set_tensor(nullptr);
    side.producer.send(std::move(loan));
}

void tensor_refused_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(!frame.info().has_tensor() && has_pattern(frame, 5, 64));
    }
    receive_end(side.consumer);
}
