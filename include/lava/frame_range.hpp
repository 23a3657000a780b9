/// @file
/// @brief The frames of a channel as a range.
#ifndef LAVA_FRAME_RANGE_HPP
#define LAVA_FRAME_RANGE_HPP

#include "consumer.hpp"
#include "frame.hpp"

#include <cstddef>
#include <iterator>
#include <optional>

#if LAVA_HPP_EXCEPTIONS

LAVA_HPP_BEGIN

/// Receives frame after frame until the channel ends: an input range of `frame &`, from `consumer::frames()`. A frame is
/// given back when the next step is made, unless it was moved out. Borrows the consumer. A frame is received when it is
/// looked at, not before: leaving a loop never takes one too many.
class frame_range {
public:
    struct sentinel {};

    class iterator {
    public:
        using value_type = frame;
        using reference = frame &;
        using pointer = frame *;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(frame_range *range) noexcept : range_(range) {}
        frame &operator*() const { return range_->current(); }
        frame *operator->() const { return &range_->current(); }
        iterator &operator++() noexcept {
            range_->advance();
            return *this;
        }
        void operator++(int) noexcept { range_->advance(); }
        friend bool operator==(const iterator &at, sentinel) { return at.has_ended(); }
        friend bool operator==(sentinel, const iterator &at) { return at.has_ended(); }
        friend bool operator!=(const iterator &at, sentinel) { return !at.has_ended(); }
        friend bool operator!=(sentinel, const iterator &at) { return !at.has_ended(); }

    private:
        bool has_ended() const { return range_->has_ended(); }

        frame_range *range_ = nullptr;
    };

    explicit frame_range(consumer &from) noexcept : consumer_(&from) {}
    iterator begin() noexcept { return iterator(this); }
    sentinel end() const noexcept { return {}; }

private:
    /// Receives unless it has done so since the last step. Throws as `consumer::receive`.
    bool has_ended() {
        if (!is_received_) {
            current_ = consumer_->receive();
            is_received_ = true;
        }
        return !current_;
    }
    frame &current() {
        has_ended();
        return *current_;
    }
    void advance() noexcept {
        current_.reset();
        is_received_ = false;
    }

    consumer *consumer_;
    std::optional<frame> current_ {};
    bool is_received_ = false;
};

inline frame_range consumer::frames() & noexcept { return frame_range(*this); }

LAVA_HPP_END

#endif

#endif
