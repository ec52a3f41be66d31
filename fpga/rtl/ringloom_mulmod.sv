// r = a b / R mod q with R = 2^(STEP ROUNDS), for a b < q 2^W and q = 1 mod 2^STEP. One product per
// cycle, 5 + 3 ROUNDS cycles. q is constant while the pipeline is in use. See docs/notes/fpga.md.
module ringloom_mulmod #(
    parameter W = 50,
    parameter STEP = 17,
    parameter ROUNDS = 3
) (
    input wire clk,
    input wire [W-1:0] a,
    input wire [W-1:0] b,
    input wire [W-1:0] q,
    output wire [W-1:0] r
);
    wire [2*W-1:0] product;
    ringloom_product #(
        .W(W)
    ) multiply (
        .clk(clk),
        .a(a),
        .b(b),
        .product(product)
    );
    ringloom_reduce #(
        .W(W),
        .STEP(STEP),
        .ROUNDS(ROUNDS)
    ) reduce (
        .clk(clk),
        .t(product),
        .q(q),
        .r(r)
    );
endmodule

// product = a b: four cycles. It is cut by hand into tiles of 17 x 26 bits, the unsigned size of one
// DSP48E2.
module ringloom_product #(
    parameter W = 50
) (
    input wire clk,
    input wire [W-1:0] a,
    input wire [W-1:0] b,
    output reg [2*W-1:0] product
);
    localparam NA = (W + 16) / 17, NB = (W + 25) / 26;

    // Inputs, tiles, rows of tiles, sum.
    reg [17*NA-1:0] a_in;
    reg [26*NB-1:0] b_in;
    always @(posedge clk) begin
        a_in <= a;
        b_in <= b;
    end
    genvar i, j;
    wire [2*W-1:0] rows[0:NB] /* verilator split_var */;
    assign rows[0] = 0;
    generate
        for (j = 0; j < NB; j = j + 1) begin : row
            wire [2*W-1:0] sums[0:NA] /* verilator split_var */;
            reg [2*W-1:0] sum;
            assign sums[0] = 0;
            for (i = 0; i < NA; i = i + 1) begin : tile
                reg [42:0] p;
                always @(posedge clk) p <= a_in[17*i+:17] * b_in[26*j+:26];
                assign sums[i+1] = sums[i] + ({{(2*W){1'b0}}, p} << (17 * i));
            end
            always @(posedge clk) sum <= sums[NA];
            assign rows[j+1] = rows[j] + (sum << (26 * j));
        end
    endgenerate
    always @(posedge clk) product <= rows[NB];
endmodule

// r = t / R mod q for t < q 2^W: ROUNDS rounds, then one correction.
module ringloom_reduce #(
    parameter W = 50,
    parameter STEP = 17,
    parameter ROUNDS = 3
) (
    input wire clk,
    input wire [2*W-1:0] t,
    input wire [W-1:0] q,
    output wire [W-1:0] r
);
    wire [2*W:0] value[0:ROUNDS] /* verilator split_var */;
    assign value[0] = {1'b0, t};
    genvar i;
    generate
        for (i = 0; i < ROUNDS; i = i + 1) begin : round
            // Below 2^(W + max(0, W - STEP (i + 1))) + 2^W.
            localparam LEFT = 2 * W - STEP * (i + 1);
            localparam BITS = (LEFT > W ? LEFT : W) + 1;
            wire [BITS-1:0] next;
            ringloom_round #(
                .W(W),
                .STEP(STEP),
                .BITS(BITS)
            ) round (
                .clk(clk),
                .t(value[i]),
                .q(q),
                .next(next)
            );
            assign value[i+1] = next;
        end
    endgenerate
    ringloom_correct #(
        .W(W)
    ) correct (
        .clk(clk),
        .t(value[ROUNDS][W:0]),
        .q(q),
        .r(r)
    );
endmodule

// next = (t + m q) / 2^STEP with m = -t mod 2^STEP, where q = h 2^STEP + 1: three cycles.
module ringloom_round #(
    parameter W = 50,
    parameter STEP = 17,
    parameter BITS = 84
) (
    input wire clk,
    input wire [2*W:0] t,
    input wire [W-1:0] q,
    output reg [BITS-1:0] next
);
    localparam H = W - STEP, NH = (H + 25) / 26;

    wire [26*NH-1:0] h = q >> STEP;
    reg [STEP-1:0] m;
    reg some, some_2;
    reg [2*W-STEP:0] high, high_2;
    always @(posedge clk) begin
        m <= -t[STEP-1:0];
        some <= |t[STEP-1:0];
        high <= t >> STEP;
        some_2 <= some;
        high_2 <= high;
    end
    wire [2*W:0] sums[0:NH] /* verilator split_var */;
    assign sums[0] = high_2 + some_2;
    genvar j;
    generate
        for (j = 0; j < NH; j = j + 1) begin : tile
            reg [STEP+25:0] p;
            always @(posedge clk) p <= m * h[26*j+:26];
            assign sums[j+1] = sums[j] + ({{(2*W){1'b0}}, p} << (26 * j));
        end
    endgenerate
    always @(posedge clk) next <= sums[NH];
endmodule

// r = t mod q for t < 2q.
module ringloom_correct #(
    parameter W = 50
) (
    input wire clk,
    input wire [W:0] t,
    input wire [W-1:0] q,
    output reg [W-1:0] r
);
    always @(posedge clk) r <= t >= {1'b0, q} ? t - q : t;
endmodule
