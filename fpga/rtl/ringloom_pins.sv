// A core behind few pins, for place and route only: every port of the core has its register, and
// words enter and leave 16 bits at a time.
module ringloom_pins #(
    parameter P = 4,
    parameter LOG_MAX = 12,
    parameter W = 50,
    parameter STEP = 17,
    parameter ROUNDS = 3
) (
    input wire clk,
    input wire reset,
    input wire start,
    input wire [1:0] op,
    input wire inverse,
    input wire [4:0] log_n,
    input wire shift,
    input wire shift_q,
    input wire [15:0] serial_in,
    input wire in_valid,
    output reg in_ready,
    output reg busy,
    output reg out_valid,
    input wire out_ready,
    input wire unload,
    output wire [15:0] serial_out,
    output wire [15:0] cycles_out
);
    reg reset_1, start_1, inverse_1, in_valid_1, out_ready_1;
    reg [1:0] op_1;
    reg [4:0] log_n_1;
    reg [W-1:0] q;
    reg [8*W-1:0] in_data, out;
    reg [31:0] count;
    wire ready, works, valid;
    wire [8*W-1:0] out_data;
    wire [31:0] cycles;
    always @(posedge clk) begin
        reset_1 <= reset;
        start_1 <= start;
        op_1 <= op;
        inverse_1 <= inverse;
        log_n_1 <= log_n;
        in_valid_1 <= in_valid;
        out_ready_1 <= out_ready;
        if (shift_q) q <= {q, serial_in};
        if (shift) in_data <= {in_data, serial_in};
        in_ready <= ready;
        busy <= works;
        out_valid <= valid;
        out <= unload ? out >> 16 : out_data;
        count <= unload ? count >> 16 : cycles;
    end
    assign serial_out = out[15:0];
    assign cycles_out = count[15:0];

    ringloom_core #(
        .P(P),
        .LOG_MAX(LOG_MAX),
        .W(W),
        .STEP(STEP),
        .ROUNDS(ROUNDS)
    ) core (
        .clk(clk),
        .reset(reset_1),
        .start(start_1),
        .op(op_1),
        .inverse(inverse_1),
        .log_n(log_n_1),
        .q(q),
        .busy(works),
        .cycles(cycles),
        .in_valid(in_valid_1),
        .in_ready(ready),
        .in_data(in_data),
        .out_valid(valid),
        .out_ready(out_ready_1),
        .out_data(out_data)
    );
endmodule
