// A function of two slices of which nothing is known but its widths: z3's `tile`.
(* smtlib2_module *)
module ringloom_free_tile (
    input [16:0] a,
    input [25:0] b,
    (* smtlib2_comb_expr = "(tile a b)" *)
    output [42:0] p
);
endmodule
