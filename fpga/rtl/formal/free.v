// Products of two slices as instances of ringloom_free_tile (tile.v).
(* techmap_celltype = "$mul" *)
module free #(
    parameter A_SIGNED = 0,
    parameter B_SIGNED = 0,
    parameter A_WIDTH = 17,
    parameter B_WIDTH = 26,
    parameter Y_WIDTH = 43
) (
    input [A_WIDTH-1:0] A,
    input [B_WIDTH-1:0] B,
    output [Y_WIDTH-1:0] Y
);
    // Slices at the end may be narrower.
    wire _TECHMAP_FAIL_ = A_SIGNED || B_SIGNED || A_WIDTH > 17 || B_WIDTH > 26 || Y_WIDTH > 43;
    wire [16:0] a = A;
    wire [25:0] b = B;
    wire [42:0] p;
    ringloom_free_tile tile (
        .a(a),
        .b(b),
        .p(p)
    );
    assign Y = p;
endmodule
