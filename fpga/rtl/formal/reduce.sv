// What is proved of the reducer, for every q = h 2^STEP + 1 below 2^W at once, piece by piece. With
// B_0 = 2^(2W) and B_(i+1) = B_i / 2^STEP + 2^W, rounded up:
//   round i:  t < B_i  =>  next 2^STEP = t + m + m h 2^STEP = t + m q for m = -t mod 2^STEP;
//   correct:  t < 2q   =>  r < q, and r = t or r = t - q.
// From the first, next < B_(i+1): the rounds compose, next = (t + M q) / R with M < R after the last,
// and for t < q 2^W with 2^W <= R that is below 2q (docs/notes/fpga.md, section 1). So
// r = t / R mod q for all such q and all t < q 2^W.
// The product m h is a sum of tiles on both sides: that these sum to m h is the distributive law with
// one slice of m, which the test gives to z3 on its own, as for product.sv. Registers are wires here (wires.v): the proof is of what one value becomes.
module prove_round #(
    parameter W = 50,
    parameter STEP = 17,
    parameter BITS = 84,
    parameter [2*W:0] BOUND = 0
) (
    input wire [2*W:0] t,
    input wire [W-STEP-1:0] h
);
    wire [W-1:0] q = {h, {(STEP - 1) {1'b0}}, 1'b1};
    wire [BITS-1:0] next;
    ringloom_round #(
        .W(W),
        .STEP(STEP),
        .BITS(BITS)
    ) dut (
        .clk(1'b0),
        .t(t),
        .q(q),
        .next(next)
    );
    wire [STEP-1:0] m = -t[STEP-1:0];
    wire [51:0] wide = h;
    wire [STEP+25:0] tile_0 = m * wide[25:0], tile_1 = m * wide[51:26];
    wire [2*W+1:0] product = tile_0 + ({{(2 * W) {1'b0}}, tile_1} << 26);
    wire [2*W+1:0] sum = t + m + (product << STEP);
    always @* begin
        assume (t < BOUND);
        assert ({next, {STEP{1'b0}}} == sum);
    end
endmodule

module prove_correct #(
    parameter W = 50
) (
    input wire [W:0] t,
    input wire [W-1:0] q
);
    wire [W-1:0] r;
    ringloom_correct #(
        .W(W)
    ) dut (
        .clk(1'b0),
        .t(t),
        .q(q),
        .r(r)
    );
    always @* begin
        assume (t < {q, 1'b0});
        assert (r < q);
        assert (r == t || r + {1'b0, q} == t);
    end
endmodule
