/// @file
/// @brief Many frames or loans in one call.
#ifndef LAVA_BATCH_HPP
#define LAVA_BATCH_HPP

#include "frame.hpp"
#include "handle.hpp"
#include "loan.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

LAVA_HPP_BEGIN

/// Up to `capacity` frames or loans, which it owns: a range of views of them, in order. Made once and used again and again
/// it allocates nothing. `frames` is filled by `consumer::receive_many`, `loans` by `producer::loan_many`.
template <class Owner, class View>
class batch {
public:
    explicit batch(std::size_t capacity) : raw_(capacity) {}
    batch(batch &&other) noexcept : raw_(std::move(other.raw_)), count_(std::exchange(other.count_, 0)) {}
    batch &operator=(batch &&other) noexcept {
        std::swap(raw_, other.raw_);
        std::swap(count_, other.count_);
        return *this;
    }
    batch(const batch &) = delete;
    batch &operator=(const batch &) = delete;
    ~batch() { clear(); }

    /// Gives all of them back in one call.
    void clear() noexcept {
        if (count_ > 0) lava_frame_release_many(raw_.data(), count_);
        count_ = 0;
    }

    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    std::size_t capacity() const noexcept { return raw_.size(); }
    View operator[](std::size_t at) const noexcept { return View(raw_[at]); }

    /// Takes the last one out, to be kept on its own; an empty one if there is none.
    Owner take_last() noexcept {
        if (count_ == 0) return Owner();
        return Owner::adopt(raw_[--count_]);
    }

    class iterator {
    public:
        using value_type = View;
        using reference = View;
        using pointer = void;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(lava_frame *const *at) noexcept : at_(at) {}
        View operator*() const noexcept { return View(*at_); }
        iterator &operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator(at_++); }
        friend bool operator==(iterator a, iterator b) noexcept { return a.at_ == b.at_; }
        friend bool operator!=(iterator a, iterator b) noexcept { return a.at_ != b.at_; }

    private:
        lava_frame *const *at_ = nullptr;
    };

    iterator begin() const noexcept { return iterator(raw_.data()); }
    iterator end() const noexcept { return iterator(raw_.data() + count_); }

    /// For calls of C that add: the first free place, and how many there are.
    lava_frame **free_places() noexcept { return raw_.data() + count_; }
    std::size_t free_count() const noexcept { return raw_.size() - count_; }
    /// After such a call: so many are owned by this now.
    void grow(std::size_t added) noexcept { count_ += added; }
    /// For calls of C that take: all of them, in order.
    lava_frame *const *native_handles() const noexcept { return raw_.data(); }
    /// After such a call: the first `taken` are no longer this one's.
    void drop_first(std::size_t taken) noexcept {
        for (std::size_t at = taken; at < count_; at++) raw_[at - taken] = raw_[at];
        count_ -= taken;
    }

private:
    std::vector<lava_frame *> raw_;
    std::size_t count_ = 0;
};

using frames = batch<frame, frame_view>;
using loans = batch<loan, loan_view>;

LAVA_HPP_END

#endif
