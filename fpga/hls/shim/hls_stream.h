// A small stand-in for Vitis' hls::stream: an unbounded queue of plain values. Reading an empty
// one would hang the hardware; here it stops the process, since the schedule of the kernels
// excludes it. Needs no C++ run-time library.
#pragma once
#include <cstddef>
#include <cstdlib>

namespace hls {

template <class T>
class stream {
    T* items = nullptr;
    std::size_t head = 0, tail = 0, capacity = 0;

  public:
    stream() = default;
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;
    ~stream() { std::free(items); }

    void write(const T& item) {
        if (tail == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            items = static_cast<T*>(std::realloc(static_cast<void*>(items), capacity * sizeof(T)));
            if (!items) std::abort();
        }
        items[tail++] = item;
    }

    T read() {
        if (head == tail) std::abort();
        T item = items[head++];
        if (head == tail) head = tail = 0;
        return item;
    }

    bool empty() const { return head == tail; }
};

}  // namespace hls
