// The kernel `ntt` of the device fpga-rtl as a host sees one on a card: registers and a memory, both
// modelled here, around the simulated core, clock by clock. Register offsets and jobs are those of
// src/layout.rs. One object file for each model: RINGLOOM_MODEL is its class, RINGLOOM_ID the part of
// the names, RINGLOOM_WORD_BITS and RINGLOOM_P its width of words and number of butterflies; the build
// renames the namespace (`-Dringloom=..`).
#include <cstdint>
#include <memory>

#include "../hls/include/words.hpp"
#include RINGLOOM_MODEL_HEADER

#define RINGLOOM_JOIN(id, name) ringloom_rtl_##id##_##name
#define RINGLOOM_NAME(id, name) RINGLOOM_JOIN(id, name)
#define RINGLOOM_SYMBOL(name) RINGLOOM_NAME(RINGLOOM_ID, name)

namespace {

using namespace ringloom;

constexpr unsigned BEAT_BYTES = 8 * BEAT_WORDS;

// Operations of the core.
enum Operation : unsigned { TWIDDLES, LOAD, RUN, STORE };

// Eight words of WORD_BITS, packed.
template <class Wide>
void pack(Wide& wide, const std::uint64_t* words) {
    unsigned __int128 bits = 0;
    unsigned have = 0, at = 0;
    for (unsigned k = 0; k < BEAT_WORDS; k++) {
        bits |= static_cast<unsigned __int128>(words[k]) << have;
        for (have += WORD_BITS; have >= 32; have -= 32, bits >>= 32) {
            wide[at++] = static_cast<std::uint32_t>(bits);
        }
    }
    if (have) wide[at] = static_cast<std::uint32_t>(bits);
}

template <class Wide>
void unpack(const Wide& wide, std::uint64_t* words) {
    unsigned __int128 bits = 0;
    unsigned have = 0, at = 0;
    for (unsigned k = 0; k < BEAT_WORDS; k++) {
        for (; have < WORD_BITS; have += 32) {
            bits |= static_cast<unsigned __int128>(wide[at++]) << have;
        }
        words[k] = static_cast<std::uint64_t>(bits) & ((std::uint64_t{1} << WORD_BITS) - 1);
        bits >>= WORD_BITS;
        have -= WORD_BITS;
    }
}

// Card memory, in beats. A beat beyond its end is never answered, as on a bus where nobody listens.
struct Memory {
    std::uint64_t* words;
    std::uint64_t beats;

    std::uint64_t* beat(std::uint64_t at) const {
        return at < beats ? words + at * BEAT_WORDS : nullptr;
    }
};

class Kernel {
    enum class State { IDLE, INTRODUCE, FETCH, START, WORK };

    VerilatedContext context;
    std::unique_ptr<RINGLOOM_MODEL> core{new RINGLOOM_MODEL(&context)};
    std::uint32_t registers[TWIN_REGISTER_BYTES / 4] = {};
    std::uint32_t noise;
    State state = State::IDLE;

    // The call, as it was when it started.
    std::uint64_t source = 0, target = 0, next_job = 0;
    std::uint32_t jobs_left = 0;
    bool inverse = false;
    unsigned log_n = 0, table_log_n = 0;
    std::uint64_t loaded = NONE, cycles = 0;

    // The job at hand.
    std::uint64_t job[BEAT_WORDS] = {};
    std::uint64_t q = 0, first_twiddle = 0, done = 0;
    Operation operation = TWIDDLES;

    std::uint32_t& control() { return registers[REG_CONTROL / 4]; }

    std::uint64_t wide(unsigned offset) const {
        return registers[offset / 4] | std::uint64_t{registers[offset / 4 + 1]} << 32;
    }

    void set_wide(unsigned offset, std::uint64_t value) {
        registers[offset / 4] = static_cast<std::uint32_t>(value);
        registers[offset / 4 + 1] = static_cast<std::uint32_t>(value >> 32);
    }

    // Whether the memory holds back now: half of the time once there is a seed.
    bool stall() {
        if (!noise) return false;
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        return noise & 1;
    }

    void edge() {
        core->clk = 0;
        core->eval();
        core->clk = 1;
        core->eval();
    }

    void begin(Operation next) {
        operation = next;
        state = State::START;
    }

    void end() {
        set_wide(REG_CYCLES, cycles);
        control() = CONTROL_DONE | CONTROL_IDLE;
        state = State::IDLE;
    }

    // A call without jobs asks what the kernel is.
    void introduce(const Memory& memory) {
        std::uint64_t* to = memory.beat(target + next_job);
        if (!to) return;
        for (unsigned k = 0; k < BEAT_WORDS; k++) to[k] = 0;
        to[IDENTITY_MAGIC] = MAGIC;
        to[IDENTITY_VERSION] = VERSION;
        to[IDENTITY_WORD_BITS] = WORD_BITS;
        to[IDENTITY_BUTTERFLIES] = RINGLOOM_P;
        to[IDENTITY_MAX_LOG_N] = MAX_LOG_N;
        end();
    }

    // The next job of the call, or its end.
    void fetch(const Memory& memory) {
        edge();
        if (jobs_left == 0) return end();
        const std::uint64_t* at = memory.beat(source + next_job);
        if (!at) return;
        for (unsigned k = 0; k < BEAT_WORDS; k++) job[k] = at[k];
        const std::uint64_t table = job[NTT_JOB_TABLE];
        const std::uint64_t* header = memory.beat(source + table);
        if (!header) return;
        next_job++;
        jobs_left--;
        if (table == loaded) return begin(LOAD);
        q = header[TABLE_Q];
        const std::uint64_t row = (std::uint64_t{1} << table_log_n) / BEAT_WORDS;
        first_twiddle = table + 1 + (inverse ? row : 0);
        loaded = table;
        begin(TWIDDLES);
    }

    // What the writer sends for a beat of the core: times the job's factor, plus its summand.
    void send(std::uint64_t* to, const std::uint64_t* words) const {
        const word scale = job[NTT_JOB_SCALE], offset = job[NTT_JOB_OFFSET], prime = q;
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
            word w = words[k];
            if (scale) w = Arithmetic::add(Arithmetic::mul(w, scale, prime), offset, prime);
            to[k] = w.to_uint64();
        }
    }

    // One clock of an operation: a beat passes where both sides are ready.
    void work(const Memory& memory) {
        const std::uint64_t count = (std::uint64_t{1} << log_n) / BEAT_WORDS;
        std::uint64_t *in = nullptr, *out = nullptr;
        if (operation == TWIDDLES) in = memory.beat(source + first_twiddle + done);
        if (operation == LOAD) in = memory.beat(source + job[NTT_JOB_SOURCE] + done);
        if (operation == STORE) out = memory.beat(target + job[NTT_JOB_TARGET] + done);
        core->in_valid = in && done < count && !stall();
        core->out_ready = out && done < count && !stall();
        if (core->in_valid) pack(core->in_data, in);
        core->clk = 0;
        core->eval();
        const bool taken = core->in_valid && core->in_ready;
        const bool given = core->out_valid && core->out_ready;
        if (given) {
            std::uint64_t words[BEAT_WORDS];
            unpack(core->out_data, words);
            send(out, words);
        }
        core->clk = 1;
        core->eval();
        if (taken || given) done++;
        if (core->busy || (operation != RUN && done < count)) return;
        core->in_valid = 0;
        core->out_ready = 0;
        if (operation == RUN) cycles += core->cycles;
        if (operation == STORE) {
            state = State::FETCH;
        } else {
            begin(operation == TWIDDLES ? LOAD : operation == LOAD ? RUN : STORE);
        }
    }

  public:
    explicit Kernel(std::uint32_t seed) : noise(seed) {
        core->reset = 1;
        core->start = 0;
        core->in_valid = 0;
        core->out_ready = 0;
        edge();
        edge();
        core->reset = 0;
        edge();
        control() = CONTROL_IDLE;
    }

    // Reading the control register clears `done`.
    std::uint32_t read(unsigned offset) {
        if (offset >= TWIN_REGISTER_BYTES) return 0;
        const std::uint32_t value = registers[offset / 4];
        if (offset == REG_CONTROL) control() &= ~CONTROL_DONE;
        return value;
    }

    void write(unsigned offset, std::uint32_t value) {
        if (offset != REG_CONTROL) {
            if (offset < REG_CYCLES) registers[offset / 4] = value;
            return;
        }
        if (!(value & CONTROL_START) || state != State::IDLE) return;
        source = wide(REG_SOURCE) / BEAT_BYTES;
        target = wide(REG_TARGET) / BEAT_BYTES;
        next_job = wide(REG_JOBS);
        jobs_left = registers[REG_JOB_COUNT / 4];
        log_n = registers[REG_LOG_N / 4];
        table_log_n = registers[REG_TABLE_LOG_N / 4];
        inverse = registers[REG_FLAGS / 4] & INVERSE;
        loaded = NONE;
        cycles = 0;
        control() = 0;
        state = jobs_left ? State::FETCH : State::INTRODUCE;
    }

    void advance(const Memory& memory, std::uint64_t clocks) {
        for (; clocks && state != State::IDLE; clocks--) {
            switch (state) {
                case State::INTRODUCE: introduce(memory); break;
                case State::FETCH: fetch(memory); break;
                case State::START:
                    core->op = operation;
                    core->inverse = inverse;
                    core->log_n = log_n;
                    core->q = q;
                    core->start = 1;
                    edge();
                    core->start = 0;
                    done = 0;
                    state = State::WORK;
                    break;
                default: work(memory);
            }
        }
    }
};

}  // namespace

extern "C" {

// With a seed, the memory holds back beats at random.
void* RINGLOOM_SYMBOL(new)(std::uint32_t seed) { return new Kernel(seed); }

void RINGLOOM_SYMBOL(delete)(void* kernel) { delete static_cast<Kernel*>(kernel); }

std::uint32_t RINGLOOM_SYMBOL(read)(void* kernel, std::uint32_t offset) {
    return static_cast<Kernel*>(kernel)->read(offset);
}

void RINGLOOM_SYMBOL(write)(void* kernel, std::uint32_t offset, std::uint32_t value) {
    static_cast<Kernel*>(kernel)->write(offset, value);
}

// Lets the clock tick up to so many times: no more once the kernel is idle.
void RINGLOOM_SYMBOL(advance)(void* kernel, std::uint64_t clocks, std::uint64_t* memory,
                              std::uint64_t beats) {
    static_cast<Kernel*>(kernel)->advance({memory, beats}, clocks);
}

}  // extern "C"
