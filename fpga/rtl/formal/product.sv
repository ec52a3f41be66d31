// What is proved of the hand-placed product, for every a and b: its tiles are the products of the
// slices they should be, and with the tile of slices i and j called p_ij,
//   product = sum_ij p_ij 2^(17 i + 26 j) mod 2^(2W),   a = sum_i a_i 2^(17 i),   b = sum_j b_j 2^(26 j).
// The product of two slices is an unknown function here (tile.v): no bit of a tile is looked at. That
// sum_ij a_i b_j 2^(17 i + 26 j) = a b over the integers is the distributive law, which the test gives
// to z3 on its own; a b < 2^(2W), so product = a b.
module prove_product #(
    parameter W = 50
) (
    input wire [W-1:0] a,
    input wire [W-1:0] b
);
    localparam NA = (W + 16) / 17, NB = (W + 25) / 26;
    wire [2*W-1:0] product;
    ringloom_product #(
        .W(W)
    ) dut (
        .clk(1'b0),
        .a(a),
        .b(b),
        .product(product)
    );
    wire [17*NA-1:0] from_a = a;
    wire [26*NB-1:0] from_b = b;
    wire [2*W-1:0] tiles[0:NA*NB];
    wire [2*W-1:0] slices_a[0:NA], slices_b[0:NB];
    assign tiles[0] = 0;
    assign slices_a[0] = 0;
    assign slices_b[0] = 0;
    genvar i, j;
    generate
        for (j = 0; j < NB; j = j + 1) begin : row
            for (i = 0; i < NA; i = i + 1) begin : tile
                wire [42:0] p = from_a[17*i+:17] * from_b[26*j+:26];
                assign tiles[NA*j+i+1] = tiles[NA*j+i] + ({{(2*W){1'b0}}, p} << (17 * i + 26 * j));
            end
            assign slices_b[j+1] = slices_b[j] + ({{(2*W){1'b0}}, from_b[26*j+:26]} << (26 * j));
        end
        for (i = 0; i < NA; i = i + 1) begin : slice
            assign slices_a[i+1] = slices_a[i] + ({{(2*W){1'b0}}, from_a[17*i+:17]} << (17 * i));
        end
    endgenerate
    always @* begin
        assert (product == tiles[NA*NB]);
        assert (slices_a[NA] == a);
        assert (slices_b[NB] == b);
    end
endmodule
