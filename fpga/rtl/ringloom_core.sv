// The transform core: P butterflies per cycle on 2P banks, in place. Same schedule as
// hls/include/core.hpp and src/schedule.rs; docs/notes/fpga.md has the reasons.
//
// `start` with an operation begins; `busy` is high until it is done. A run takes exactly
// log_n (2^log_n / 2P + DRAIN) cycles, counted in `cycles`.
module ringloom_core #(
    parameter P = 8,
    parameter LOG_MAX = 16,
    parameter W = 50,
    parameter STEP = 17,
    parameter ROUNDS = 3,
    parameter DRAIN = 15 + 3 * ROUNDS  // what the pipeline needs between two stages
) (
    input wire clk,
    input wire reset,
    // Control. Operations: 0 load twiddles, 1 load words, 2 run, 3 store words.
    input wire start,
    input wire [1:0] op,
    input wire inverse,
    input wire [4:0] log_n,
    input wire [W-1:0] q,
    output wire busy,
    output reg [31:0] cycles,
    // Beats of eight words.
    input wire in_valid,
    output wire in_ready,
    input wire [8*W-1:0] in_data,
    output wire out_valid,
    input wire out_ready,
    output wire [8*W-1:0] out_data
);
    localparam L = 2 * P, B = $clog2(L), LB = LOG_MAX - B, GROUPS = L / 8;
    localparam GB = GROUPS > 1 ? $clog2(GROUPS) : 1;
    localparam BUTTERFLY = 9 + 3 * ROUNDS;  // cycles
    localparam OUT = 4 + BUTTERFLY;  // control index at which a butterfly is done

    localparam [2:0] IDLE = 0, TWIDDLES = 1, LOAD = 2, RUN = 3, STORE = 4;
    reg [2:0] state;
    reg [LOG_MAX-1:0] count;  // cycles of a stage, or beats
    reg [5:0] drain;  // 0: issuing
    reg [4:0] stage;  // log of the stride
    reg [2:0] digit;  // stage mod B
    assign busy = state != IDLE;

    // Exclusive-or of the B-bit digits of a line number.
    function [B-1:0] fold(input [LB-1:0] line);
        integer k;
        begin
            fold = 0;
            for (k = 0; k < LB; k = k + 1) fold[k%B] = fold[k%B] ^ line[k];
        end
    endfunction

    // v mod B, as a table: no divider.
    function [2:0] mod_b(input [4:0] v);
        integer k;
        begin
            mod_b = 0;
            for (k = 0; k < 32; k = k + 1) if (v == k) mod_b = k % B;
        end
    endfunction

    wire [LOG_MAX:0] n = 1 << log_n;
    wire [LOG_MAX-1:0] last_cycle = (n >> B) - 1'b1, last_beat = (n >> 3) - 1'b1;
    wire last_stage = inverse ? stage + 1'b1 == log_n : stage == 0;
    wire issuing = state == RUN && drain == 0;
    wire store_room;
    wire storing = state == STORE && store_room;
    assign in_ready = state == TWIDDLES || state == LOAD;
    wire taking = in_ready && in_valid;

    always @(posedge clk) begin
        if (reset) begin
            state <= IDLE;
            count <= 0;
            drain <= 0;
        end else
            case (state)
                IDLE:
                if (start) begin
                    state <= op == 0 ? TWIDDLES : op == 1 ? LOAD : op == 2 ? RUN : STORE;
                    count <= 0;
                    drain <= 0;
                    stage <= inverse ? 0 : log_n - 1'b1;
                    digit <= inverse ? 0 : mod_b(log_n - 1'b1);
                    if (op == 2) cycles <= 0;
                end
                TWIDDLES, LOAD:
                if (taking) begin
                    count <= count + 1'b1;
                    if (count == last_beat) state <= IDLE;
                end
                RUN: begin
                    cycles <= cycles + 1'b1;
                    if (drain == 0) begin
                        count <= count + 1'b1;
                        if (count == last_cycle) drain <= DRAIN;
                    end else begin
                        drain <= drain - 1'b1;
                        if (drain == 1) begin
                            count <= 0;
                            stage <= inverse ? stage + 1'b1 : stage - 1'b1;
                            digit <= inverse ? (digit == B - 1 ? 0 : digit + 1'b1)
                                             : (digit == 0 ? B - 1 : digit - 1'b1);
                            if (last_stage) state <= IDLE;
                        end
                    end
                end
                default:
                if (storing) begin
                    count <= count + 1'b1;
                    if (count == last_beat) state <= IDLE;
                end
            endcase
    end

    // Control of a cycle, and delayed copies of it: index i is i cycles after the first register.
    reg [OUT+2:0] live, shown;  // a cycle of a stage; a beat to store
    reg [LB-1:0] line[0:OUT+2];
    reg [LB-1:0] far[0:OUT+2];  // bit of the line number in which partners differ, or 0
    reg [B-1:0] shift[0:OUT+2];
    reg [2:0] lane_bit[0:OUT+2];
    reg [GB-1:0] group[0:3];
    reg [LOG_MAX-1:0] twiddle_index;
    reg [4:0] near_by;  // stage, or 31 for strides beyond a line

    wire near = stage < B;
    wire [LB-1:0] low_mask = (1 << (stage - B)) - 1;
    wire [LB-1:0] half = count >> 1;
    wire [LB-1:0] run_line = near ? count[LB-1:0] : ((half & ~low_mask) << 1) | (half & low_mask);
    wire [LB-1:0] beat_line = count >> (B - 3);
    wire [LOG_MAX-1:0] blocks = n[LOG_MAX:1] >> stage;
    integer k;
    always @(posedge clk) begin
        live <= {live[OUT+1:0], issuing};
        shown <= {shown[OUT+1:0], storing};
        line[0] <= issuing ? run_line : beat_line;
        far[0] <= issuing && !near ? low_mask + 1'b1 : 0;
        shift[0] <= issuing ? fold(run_line) ^ (near ? 0 : count[0] << digit) : fold(beat_line);
        lane_bit[0] <= digit;
        group[0] <= count;
        twiddle_index <= blocks + (near ? count << (B - 1 - stage) : count >> (stage - (B - 1)));
        near_by <= near ? stage : 31;
        for (k = 0; k < OUT + 2; k = k + 1) begin
            line[k+1] <= line[k];
            far[k+1] <= far[k];
            shift[k+1] <= shift[k];
            lane_bit[k+1] <= lane_bit[k];
        end
        for (k = 0; k < 3; k = k + 1) group[k+1] <= group[k];
        if (reset) begin
            live <= 0;
            shown <= 0;
        end
    end

    // Words that arrive take the place of butterflies' results.
    reg loaded;
    reg [LB-1:0] load_line;
    reg [B-1:0] load_shift;
    reg [GB-1:0] load_group, load_group_1;
    reg load_1;
    reg [LB-1:0] load_line_1;
    reg [B-1:0] load_shift_1;
    always @(posedge clk) begin
        loaded <= state == LOAD && taking;
        load_line <= beat_line;
        load_shift <= fold(beat_line);
        load_group <= count;
        load_1 <= loaded;
        load_line_1 <= load_line;
        load_shift_1 <= load_shift;
        load_group_1 <= load_group;
    end

    // Banks.
    wire [W*L-1:0] from_banks;
    wire [W*L-1:0] to_banks;
    genvar g, d;
    generate
        for (g = 0; g < L; g = g + 1) begin : banks
            wire [B-1:0] lane = g ^ shift[0], out_lane = g ^ shift[OUT+2], in_lane = g ^ load_shift_1;
            wire here = GROUPS == 1 || in_lane >> 3 == load_group_1;
            ringloom_bank #(
                .W(W),
                .LINES(LB)
            ) bank (
                .clk(clk),
                .read_line(line[0] | (lane[lane_bit[0]] ? far[0] : 0)),
                .read_word(from_banks[W*g+:W]),
                .write(load_1 ? here : live[OUT+2]),
                .write_line(load_1 ? load_line_1
                    : line[OUT+2] | (out_lane[lane_bit[OUT+2]] ? far[OUT+2] : 0)),
                .write_word(to_banks[W*g+:W])
            );
        end
    endgenerate

    // Banks to lanes: lane = bank ^ shift.
    reg [W*L-1:0] lanes;
    wire [W*L-1:0] unshifted[0:B] /* verilator split_var */;
    assign unshifted[0] = from_banks;
    generate
        for (d = 0; d < B; d = d + 1) begin : unshift
            for (g = 0; g < L; g = g + 1) begin : lane
                assign unshifted[d+1][W*g+:W] =
                    shift[2][d] ? unshifted[d][W*(g^(1<<d))+:W] : unshifted[d][W*g+:W];
            end
        end
    endgenerate
    always @(posedge clk) lanes <= unshifted[B];

    // Twiddles: P words of a line; each butterfly takes one of them.
    wire [W*P-1:0] twiddles;
    reg [B-2:0] first[0:2];
    reg [4:0] spread_by[0:2];
    always @(posedge clk) begin
        first[1] <= twiddle_index;
        first[2] <= first[1];
        spread_by[1] <= near_by;
        spread_by[2] <= spread_by[1];
    end
    generate
        for (g = 0; g < P; g = g + 1) begin : factors
            // Words come in eights: `count` is their beat, P / 8 of them to a line (or 8 / P lines).
            wire mine;
            wire [LOG_MAX-B:0] to_line;
            wire [W-1:0] word;
            if (P >= 8) begin
                localparam [LOG_MAX-1:0] PART = g / 8;
                assign mine = taking && (count & (P / 8 - 1)) == PART;
                assign to_line = count / (P / 8);
                assign word = in_data[W*(g%8)+:W];
                ringloom_bank #(.W(W), .LINES(LOG_MAX - B + 1)) bank (
                    .clk(clk),
                    .read_line(twiddle_index >> (B - 1)),
                    .read_word(twiddles[W*g+:W]),
                    .write(state == TWIDDLES && mine),
                    .write_line(to_line),
                    .write_word(word)
                );
            end else begin
                // P = 4: two lines to a beat, so two memories, of even and of odd lines.
                wire [W-1:0] even, odd;
                reg [1:0] which;
                always @(posedge clk) which <= {which[0], twiddle_index[B-1]};
                ringloom_bank #(.W(W), .LINES(LOG_MAX - B)) bank_even (
                    .clk(clk),
                    .read_line(twiddle_index >> B),
                    .read_word(even),
                    .write(state == TWIDDLES && taking),
                    .write_line(count),
                    .write_word(in_data[W*g+:W])
                );
                ringloom_bank #(.W(W), .LINES(LOG_MAX - B)) bank_odd (
                    .clk(clk),
                    .read_line(twiddle_index >> B),
                    .read_word(odd),
                    .write(state == TWIDDLES && taking),
                    .write_line(count),
                    .write_word(in_data[W*(g+P)+:W])
                );
                assign twiddles[W*g+:W] = which[1] ? odd : even;
            end
        end
    endgenerate

    // Lanes to butterflies and back: partners differ in bit `lane_bit`.
    wire [W*L-1:0] results;
    generate
        for (g = 0; g < P; g = g + 1) begin : butterflies
            reg [W-1:0] x, y, w, w_1;
            wire [B-2:0] choice = first[2] | (spread_by[2] == 31 ? 0 : g >> spread_by[2]);
            wire [W-1:0] chosen;
            ringloom_select #(
                .W(W),
                .LOG(B - 1)
            ) select (
                .words(twiddles),
                .index(choice),
                .word(chosen)
            );
            // For each place of the bit, lanes are fixed: a multiplexer of B words, no offsets.
            integer at;
            always @(posedge clk) begin
                for (at = 0; at < B; at = at + 1)
                    if (lane_bit[3] == at) begin
                        x <= lanes[W*(((g>>at)<<(at+1))|(g&((1<<at)-1)))+:W];
                        y <= lanes[W*((((g>>at)*2+1)<<at)|(g&((1<<at)-1)))+:W];
                    end
                w_1 <= chosen;
                w <= w_1;
            end
            ringloom_butterfly #(
                .W(W),
                .STEP(STEP),
                .ROUNDS(ROUNDS)
            ) butterfly (
                .clk(clk),
                .inverse(inverse),
                .q(q),
                .x(x),
                .y(y),
                .w(w),
                .u(results[W*(2*g)+:W]),
                .v(results[W*(2*g+1)+:W])
            );
        end
    endgenerate

    // Results to lanes, then to banks.
    reg [W*L-1:0] done;
    reg [W*L-1:0] shifted;
    generate
        for (g = 0; g < L; g = g + 1) begin : back
            // Lane g is result 2u (+ 1) with u = g without its bit `lane_bit`, which says which.
            integer at;
            always @(posedge clk) begin
                for (at = 0; at < B; at = at + 1)
                    if (lane_bit[OUT] == at)
                        done[W*g+:W] <=
                            results[W*(((g>>(at+1))<<(at+1))|((g&((1<<at)-1))<<1)|(g>>at&1))+:W];
                if (state == LOAD) done[W*g+:W] <= in_data[W*(g%8)+:W];
            end
        end
    endgenerate
    wire [B-1:0] back_shift = loaded ? load_shift : shift[OUT+1];
    wire [W*L-1:0] reshifted[0:B] /* verilator split_var */;
    assign reshifted[0] = done;
    generate
        for (d = 0; d < B; d = d + 1) begin : reshift
            for (g = 0; g < L; g = g + 1) begin : lane
                assign reshifted[d+1][W*g+:W] =
                    back_shift[d] ? reshifted[d][W*(g^(1<<d))+:W] : reshifted[d][W*g+:W];
            end
        end
    endgenerate
    always @(posedge clk) shifted <= reshifted[B];
    assign to_banks = shifted;

    // Stored beats wait here; no more are read than there is room for.
    reg [8*W-1:0] queue[0:7];
    reg [2:0] head, tail;
    reg [3:0] reserved;  // read and not yet taken
    wire [8*W-1:0] shown_beat;
    generate
        if (GROUPS == 1) assign shown_beat = lanes;
        else
            ringloom_select #(
                .W(8 * W),
                .LOG(GB)
            ) select (
                .words(lanes),
                .index(group[3]),
                .word(shown_beat)
            );
    endgenerate
    wire taken = out_valid && out_ready;
    assign store_room = reserved < 8;
    assign out_valid = head != tail || full;
    reg full;
    assign out_data = queue[head];
    always @(posedge clk) begin
        if (shown[3]) begin
            queue[tail] <= shown_beat;
            tail <= tail + 1'b1;
        end
        if (taken) head <= head + 1'b1;
        if (shown[3] && !taken) full <= tail + 1'b1 == head;
        else if (taken && !shown[3]) full <= 0;
        reserved <= reserved + storing - taken;
        if (reset) begin
            head <= 0;
            tail <= 0;
            full <= 0;
            reserved <= 0;
        end
    end
endmodule

// One of 2^LOG words: a tree of multiplexers. (A part-select at a variable offset becomes a
// multiplication and a wide shift in yosys.)
module ringloom_select #(
    parameter W = 50,
    parameter LOG = 2
) (
    input wire [W*(1<<LOG)-1:0] words,
    input wire [LOG-1:0] index,
    output wire [W-1:0] word
);
    wire [W*(1<<LOG)-1:0] level[0:LOG] /* verilator split_var */;
    assign level[0] = words;
    genvar d, k;
    generate
        for (d = 0; d < LOG; d = d + 1) begin : halve
            for (k = 0; k < 1 << (LOG - 1 - d); k = k + 1) begin : pair
                assign level[d+1][W*k+:W] =
                    index[d] ? level[d][W*(2*k+1)+:W] : level[d][W*(2*k)+:W];
            end
        end
    endgenerate
    assign word = level[LOG][W-1:0];
endmodule

// One read and one write per cycle; a word read is there two edges later.
module ringloom_bank #(
    parameter W = 50,
    parameter LINES = 12
) (
    input wire clk,
    input wire [LINES-1:0] read_line,
    output reg [W-1:0] read_word,
    input wire write,
    input wire [LINES-1:0] write_line,
    input wire [W-1:0] write_word
);
    reg [W-1:0] memory[0:(1<<LINES)-1];
    reg [W-1:0] fetched;
    always @(posedge clk) begin
        fetched <= memory[read_line];
        read_word <= fetched;
        if (write) memory[write_line] <= write_word;
    end
endmodule
