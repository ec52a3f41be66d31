// Forward: (x + w y, x - w y). Inverse: ((x + y) / 2, (x - y) w). One per cycle.
module ringloom_butterfly #(
    parameter W = 50,
    parameter STEP = 17,
    parameter ROUNDS = 3,
    parameter MUL = 5 + 3 * ROUNDS  // latency of ringloom_mulmod
) (
    input wire clk,
    input wire inverse,
    input wire [W-1:0] q,
    input wire [W-1:0] x,
    input wire [W-1:0] y,
    input wire [W-1:0] w,
    output reg [W-1:0] u,
    output reg [W-1:0] v
);
    wire [W:0] q1 = {1'b0, q};

    // Two cycles before the product.
    reg [W:0] sum, difference;
    reg [W-1:0] x_1, y_1, w_1, keep, factor, w_2;
    always @(posedge clk) begin
        sum <= x + y;
        difference <= x - y;
        x_1 <= x;
        y_1 <= y;
        w_1 <= w;
        w_2 <= w_1;
        keep <= !inverse ? x_1 : sum >= q1 ? sum - q1 : sum;
        factor <= !inverse ? y_1 : difference[W] ? difference + q1 : difference;
    end

    wire [W-1:0] z;
    ringloom_mulmod #(
        .W(W),
        .STEP(STEP),
        .ROUNDS(ROUNDS)
    ) mulmod (
        .clk(clk),
        .a(w_2),
        .b(factor),
        .q(q),
        .r(z)
    );
    reg [W*MUL-1:0] waiting;
    always @(posedge clk) waiting <= {waiting[W*(MUL-1)-1:0], keep};
    wire [W-1:0] kept = waiting[W*(MUL-1)+:W];

    // Two cycles after it.
    reg [W:0] up, down;
    reg [W-1:0] z_1;
    always @(posedge clk) begin
        up <= inverse ? kept + (kept[0] ? q1 : {(W + 1) {1'b0}}) : kept + z;
        down <= kept - z;
        z_1 <= z;
        u <= inverse ? up >> 1 : up >= q1 ? up - q1 : up;
        v <= inverse ? z_1 : down[W] ? down + q1 : down;
    end
endmodule
