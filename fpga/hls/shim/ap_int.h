// A small stand-in for Vitis' ap_uint, for host compilers: unsigned, up to 128 bits, plus one
// 512-bit word. Only what the kernels use, with the same widths of results: sums are one bit wider
// than their operands, products as wide as both together. Not AMD's header.
#pragma once
#include <cstdint>
#include <type_traits>

template <int W>
class ap_uint {
    static_assert(W > 0 && W <= 128, "up to 128 bits");
    using word = std::conditional_t<(W <= 64), std::uint64_t, unsigned __int128>;
    static constexpr int STORED = W <= 64 ? 64 : 128;
    static constexpr word MASK = W == STORED ? ~word{0} : (word{1} << (W % STORED)) - 1;
    word value = 0;

  public:
    ap_uint() = default;
    // Truncates, as an assignment to a narrower register does.
    template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
    ap_uint(T v) : value(static_cast<word>(v) & MASK) {}
    ap_uint(unsigned __int128 v) : value(static_cast<word>(v) & MASK) {}
    template <int V>
    ap_uint(const ap_uint<V>& v) : value(static_cast<word>(v.raw()) & MASK) {}

    word raw() const { return value; }
    std::uint64_t to_uint64() const { return static_cast<std::uint64_t>(value); }
    explicit operator bool() const { return value != 0; }
    bool operator[](int i) const { return (value >> i) & 1; }

    template <int V>
    auto operator*(const ap_uint<V>& other) const {
        static_assert(W + V <= 128);
        using wide = std::conditional_t<(W + V <= 64), std::uint64_t, unsigned __int128>;
        return ap_uint<W + V>(static_cast<wide>(value) * static_cast<wide>(other.raw()));
    }
    template <int V>
    auto operator+(const ap_uint<V>& other) const {
        constexpr int R = (W > V ? W : V) + 1;
        using wide = std::conditional_t<(R <= 64), std::uint64_t, unsigned __int128>;
        return ap_uint<R>(static_cast<wide>(value) + static_cast<wide>(other.raw()));
    }
    // Modulo 2^(wider operand + 1): assign to no wider register.
    template <int V>
    auto operator-(const ap_uint<V>& other) const {
        constexpr int R = (W > V ? W : V) + 1;
        using wide = std::conditional_t<(R <= 64), std::uint64_t, unsigned __int128>;
        return ap_uint<R>(static_cast<wide>(value) - static_cast<wide>(other.raw()));
    }
    ap_uint operator>>(int bits) const { return ap_uint(static_cast<word>(value >> bits)); }
    template <int V>
    bool operator<(const ap_uint<V>& other) const {
        return value < other.raw();
    }
    template <int V>
    bool operator>=(const ap_uint<V>& other) const {
        return !(*this < other);
    }
};

// The 512-bit word of the memory interface.
template <>
class ap_uint<512> {
    std::uint64_t words[8] = {};

  public:
    // `range(64 i + 63, 64 i)` is all the kernels use.
    class part {
        std::uint64_t& word;

      public:
        explicit part(std::uint64_t& w) : word(w) {}
        part& operator=(std::uint64_t v) {
            word = v;
            return *this;
        }
        std::uint64_t to_uint64() const { return word; }
    };
    part range(int, int low) { return part(words[low / 64]); }
    part range(int, int low) const { return part(const_cast<std::uint64_t&>(words[low / 64])); }
};
