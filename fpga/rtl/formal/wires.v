// Flip-flops as wires.
(* techmap_celltype = "$dff" *)
module wires #(
    parameter WIDTH = 1,
    parameter CLK_POLARITY = 1
) (
    input CLK,
    input [WIDTH-1:0] D,
    output [WIDTH-1:0] Q
);
    assign Q = D;
endmodule
