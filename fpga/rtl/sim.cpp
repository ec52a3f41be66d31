// The host's way into the simulated core: one operation at a time, words in and out. One object
// file for each model (RINGLOOM_MODEL is its class, RINGLOOM_ID the part of the names,
// RINGLOOM_WORD_BITS its width).
#include <cstdint>
#include <memory>

#include RINGLOOM_MODEL_HEADER

#define RINGLOOM_JOIN(id, name) ringloom_rtl_##id##_##name
#define RINGLOOM_NAME(id, name) RINGLOOM_JOIN(id, name)
#define RINGLOOM_SYMBOL(name) RINGLOOM_NAME(RINGLOOM_ID, name)

namespace {

constexpr unsigned W = RINGLOOM_WORD_BITS, BEAT = 8;

struct Simulation {
    VerilatedContext context;
    std::unique_ptr<RINGLOOM_MODEL> core;
    std::uint32_t noise = 0;

    Simulation() : core(new RINGLOOM_MODEL(&context)) {
        core->reset = 1;
        core->start = 0;
        core->in_valid = 0;
        core->out_ready = 0;
        tick();
        tick();
        core->reset = 0;
        tick();
    }

    void tick() {
        core->clk = 0;
        core->eval();
        core->clk = 1;
        core->eval();
    }

    // Whether to hold back now: half of the time once a seed is set.
    bool stall() {
        if (!noise) return false;
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        return noise & 1;
    }
};

template <class Wide>
void put(Wide& wide, unsigned at, std::uint64_t word) {
    for (unsigned i = 0; i < W; i++) {
        const unsigned bit = at * W + i;
        const std::uint32_t mask = 1u << (bit % 32);
        if (word >> i & 1) {
            wide[bit / 32] |= mask;
        } else {
            wide[bit / 32] &= ~mask;
        }
    }
}

template <class Wide>
std::uint64_t get(const Wide& wide, unsigned at) {
    const unsigned bit = at * W;
    std::uint64_t word = wide[bit / 32] >> (bit % 32);
    unsigned have = 32 - bit % 32;
    for (unsigned next = bit / 32 + 1; have < W; next++, have += 32) {
        word |= std::uint64_t{wide[next]} << have;
    }
    return word & ((std::uint64_t{1} << W) - 1);
}

}  // namespace

extern "C" {

void* RINGLOOM_SYMBOL(new)() { return new Simulation; }

void RINGLOOM_SYMBOL(delete)(void* simulation) { delete static_cast<Simulation*>(simulation); }

// Runs one operation of ringloom_core: 0 and 1 take `n` words from `in`, 3 gives `n` words to
// `out`. With a seed, the stream stalls at random. Returns the core's own count of cycles after an
// operation 2; 0 when the core does not end.
std::uint32_t RINGLOOM_SYMBOL(run)(void* pointer, std::uint32_t op, std::uint32_t inverse,
                                   std::uint32_t log_n, std::uint64_t q, const std::uint64_t* in,
                                   std::uint64_t* out, std::uint32_t seed) {
    Simulation& s = *static_cast<Simulation*>(pointer);
    auto& core = *s.core;
    const std::uint64_t n = std::uint64_t{1} << log_n;
    s.noise = seed;
    core.op = op;
    core.inverse = inverse;
    core.log_n = log_n;
    core.q = q;
    core.start = 1;
    s.tick();
    core.start = 0;
    std::uint64_t done = 0;
    for (std::uint64_t limit = 64 * n + 4096; limit; limit--) {
        core.in_valid = op < 2 && done < n && !s.stall();
        core.out_ready = op == 3 && done < n && !s.stall();
        if (core.in_valid) {
            for (unsigned k = 0; k < BEAT; k++) put(core.in_data, k, in[done + k]);
        }
        core.clk = 0;
        core.eval();
        const bool taken = core.in_valid && core.in_ready;
        const bool given = core.out_valid && core.out_ready;
        if (given) {
            for (unsigned k = 0; k < BEAT; k++) out[done + k] = get(core.out_data, k);
        }
        core.clk = 1;
        core.eval();
        if (taken || given) done += BEAT;
        if (!core.busy && (op == 2 || done == n)) break;
        if (limit == 1) return 0;
    }
    core.in_valid = 0;
    core.out_ready = 0;
    return op == 2 ? core.cycles : 1;
}

}  // extern "C"
