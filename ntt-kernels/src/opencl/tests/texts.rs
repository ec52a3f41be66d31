//! The texts of the programs that a GPU of NVIDIA builds, for compilers that read them without one
//! (`scripts/check-ptx.sh`).

use std::{collections::BTreeMap, fs, path::Path};

use super::super::{
    mat_mul::TILES,
    programs::{Arithmetic, HighWord, OPTIONS, RowsIn, Source},
    transform::passes,
};

/// Work items of a flat kernel's group on a GPU.
const ITEMS: usize = 128;

/// Programs that do not depend on the degree, by name.
const FLAT: [(&str, Source); 9] = [
    ("words", Source::Words { items: ITEMS }),
    ("products", Source::Products { items: ITEMS }),
    (
        "mat_mul",
        Source::MatMul {
            items: ITEMS,
            rows: TILES[1],
        },
    ),
    ("convert", Source::Convert { items: ITEMS }),
    ("rotation", Source::Rotation { items: ITEMS }),
    ("lwe", Source::Lwe { items: ITEMS }),
    ("seed", Source::Seed { items: ITEMS }),
    (
        "listed",
        Source::Listed {
            items: ITEMS,
            lanes: 1,
        },
    ),
    (
        "measure",
        Source::Measure {
            items: ITEMS,
            lanes: 1,
        },
    ),
];

fn tile_name(source: Source) -> String {
    let Source::Tile {
        stages,
        log_tile,
        columns,
        invert,
        last,
        fused,
        rows_in,
    } = source
    else {
        unreachable!("passes are tiles")
    };
    let way = if invert { "inverse" } else { "forward" };
    let of = if columns { "columns" } else { "blocks" };
    let mut name = format!("{way}-{of}-{stages}-{log_tile}");
    let parts = [
        (last, "-last"),
        (fused.lift, "-lift"),
        (fused.inner, "-inner"),
        (fused.to_pairs, "-pairs"),
    ];
    for (is, part) in parts {
        name.push_str(if is { part } else { "" });
    }
    name + match rows_in {
        RowsIn::Words => "-words",
        RowsIn::Doubles => "-doubles",
        RowsIn::Both => "-both",
    }
}

/// By name, the programs for degrees that take one pass and two.
fn texts() -> BTreeMap<String, String> {
    let arithmetic = |doubles| Arithmetic {
        high_word: HighWord::Ptx,
        doubles,
    };
    let mut texts = BTreeMap::new();
    for (name, source) in FLAT {
        texts.insert(name.into(), source.text(arithmetic(false)));
    }
    let products = FLAT[8].1.text(arithmetic(true));
    texts.insert("measure-doubles".into(), products);
    for log_n in [10, 16] {
        for rows_in in [RowsIn::Words, RowsIn::Doubles, RowsIn::Both] {
            for source in passes(log_n, rows_in) {
                let text = source.text(arithmetic(rows_in != RowsIn::Words));
                texts.insert(tile_name(source), text);
            }
        }
    }
    texts
}

/// Writes them to the folder that `RINGLOOM_PROGRAMS` names, and the options beside them.
#[test]
fn texts_of_programs() {
    let texts = texts();
    assert!(texts.values().all(|text| text.contains("__kernel")));
    if let Some(folder) = std::env::var_os("RINGLOOM_PROGRAMS") {
        let folder = Path::new(&folder);
        fs::create_dir_all(folder).expect("a folder");
        for (name, text) in texts {
            fs::write(folder.join(name + ".cl"), text).expect("a file");
        }
        fs::write(folder.join("options"), OPTIONS).expect("a file");
    }
}
