// What is proved of the reducer for one prime Q = h 2^STEP + 1, piece by piece: with V_0 = Q 2^W and
// V_(i+1) = [(V_i - 1 + (2^STEP - 1) Q) / 2^STEP] + 1,
//   round i:  t < V_i  =>  next 2^STEP = t + m + m h 2^STEP for m = -t mod 2^STEP;
//   correct:  t < 2Q   =>  r < Q, and r = t or r = t - Q.
// From the first, next < V_(i+1). With V_ROUNDS <= 2Q, which the caller checks, they compose:
// r = t / R mod Q for all t < Q 2^W. The product m h is a sum of tiles on both sides: that tiles sum
// to the product is left to simulation. Registers are wires here (wires.v): the proof is of what
// one value becomes.
module prove_round #(
    parameter W = 50,
    parameter STEP = 17,
    parameter BITS = 84,
    parameter [W-1:0] Q = 0,
    parameter [2*W:0] BOUND = 0
) (
    input wire [2*W:0] t
);
    wire [BITS-1:0] next;
    ringloom_round #(
        .W(W),
        .STEP(STEP),
        .BITS(BITS)
    ) dut (
        .clk(1'b0),
        .t(t),
        .q(Q),
        .next(next)
    );
    wire [STEP-1:0] m = -t[STEP-1:0];
    localparam [51:0] H = Q >> STEP;
    wire [STEP+25:0] tile_0 = m * H[25:0], tile_1 = m * H[51:26];
    wire [2*W+1:0] product = tile_0 + ({{(2 * W) {1'b0}}, tile_1} << 26);
    wire [2*W+1:0] sum = t + m + (product << STEP);
    always @* begin
        assume (t < BOUND);
        assert ({next, {STEP{1'b0}}} == sum);
    end
endmodule

module prove_correct #(
    parameter W = 50,
    parameter [W-1:0] Q = 0
) (
    input wire [W:0] t
);
    wire [W-1:0] r;
    ringloom_correct #(
        .W(W)
    ) dut (
        .clk(1'b0),
        .t(t),
        .q(Q),
        .r(r)
    );
    always @* begin
        assume (t < {Q, 1'b0});
        assert (r < Q);
        assert (r == t || r + {1'b0, Q} == t);
    end
endmodule
