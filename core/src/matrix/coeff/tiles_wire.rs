//! Tiled matrices as bytes.

use std::sync::Arc;

use super::{
    CoeffForm, CoeffMatrix, CoeffMatrixInfo, CoeffScale, TileSide, TiledMatMulPlan, TiledMatrix,
    encrypt::MAX_LOG_SCALE, wire::MAX_LENGTH,
};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Reader, Writer},
    session::Session,
};

impl TileSide {
    const ALL: [Self; 3] = [Self::Left, Self::Right, Self::Product];

    const fn code(self) -> u8 {
        match self {
            Self::Left => 0,
            Self::Right => 1,
            Self::Product => 2,
        }
    }
}

impl TiledMatMulPlan {
    /// Level, number of products, rows, inner length and columns of each, tile, radix, and whether left
    /// sides lie in frames and slots hold one column tile.
    fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        let (m, k, n) = self.shape();
        w.size(self.level())?;
        for size in [self.count(), m, k, n, self.tile(), self.written_radix()] {
            w.size(size)?;
        }
        let grid = self.grid();
        w.u8(u8::from(grid.framed) + 2 * u8::from(grid.parts == 1))
    }

    fn read(reader: &mut Reader<'_>, session: &Session) -> Result<Self> {
        let params = session.params();
        let level = reader.size("a level", params.max_level())?;
        let count = reader.size("a number of products", MAX_LENGTH)?;
        let mut length = |what| reader.size(what, MAX_LENGTH);
        let shape = (
            length("a number of rows")?,
            length("an inner length")?,
            length("a number of columns")?,
        );
        let tile = reader.size("a tile", params.n() / 2)?;
        let radix = reader.size("a radix", params.n())?;
        let plan = Self::with_tile(params, level, count, shape, tile, radix)?;
        if plan.written_radix() != radix {
            return Err(reader.refuse(format!("radix {}", plan.written_radix()), radix));
        }
        let plan = match reader.u8()? {
            0 => plan,
            1 => plan.with_framed_rows(params)?,
            2 => plan.with_single_columns(params)?,
            3 => plan.with_framed_rows(params)?.with_single_columns(params)?,
            other => return Err(reader.refuse("a layout of tiles below 4", other)),
        };
        Ok(plan)
    }

    /// A tile of one row has no tree, so that any radix makes the same plan.
    fn written_radix(&self) -> usize {
        self.radix().max(2)
    }
}

impl TiledMatrix {
    /// Plan, side, logarithm of the scale (0 for left sides), packed residues group by group.
    pub(in crate::matrix) fn write_body(&self, w: &mut Writer<'_>) -> Result<()> {
        self.plan().write(w)?;
        w.u8(self.side().code())?;
        w.u32(match self.scale() {
            CoeffScale::PowerOfTwo(log_scale) => log_scale,
            CoeffScale::Factor => 0,
        })?;
        self.blocks.iter().try_for_each(|b| b.write_blocks(w))
    }

    pub(in crate::matrix) fn read_body(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
    ) -> Result<Self> {
        let plan = TiledMatMulPlan::read(reader, session)?;
        let code = reader.u8()?;
        let Some(side) = TileSide::ALL.into_iter().find(|s| s.code() == code) else {
            return Err(reader.refuse("a left side, a right side or a product", code));
        };
        let log_scale = reader.u32()?;
        let largest = if side == TileSide::Left {
            0
        } else {
            MAX_LOG_SCALE
        };
        if log_scale > largest {
            let expected = format!("a scale of at most 2^{largest}");
            return Err(reader.refuse(expected, log_scale));
        }
        let (n, (rows, k, _)) = (session.params().n(), plan.mul().shape());
        let scale = CoeffScale::PowerOfTwo(log_scale);
        let [products, row_groups, column_groups] = plan.grid().groups.map(|g| g as u128);
        let (groups, info) = match side {
            TileSide::Left => (
                products * row_groups,
                CoeffMatrixInfo {
                    shape: (rows, k),
                    form: CoeffForm::Columns,
                    level: plan.level(),
                    scale: CoeffScale::Factor,
                },
            ),
            TileSide::Right => (
                products * column_groups,
                CoeffMatrixInfo {
                    shape: (k, n),
                    form: CoeffForm::Rows,
                    level: plan.level(),
                    scale,
                },
            ),
            TileSide::Product => (
                products * row_groups * column_groups,
                CoeffMatrixInfo {
                    shape: (rows, n),
                    form: CoeffForm::Rows,
                    level: plan.level() - 1,
                    scale,
                },
            ),
        };
        let mut blocks = Vec::new();
        for _ in 0..groups {
            blocks.push(CoeffMatrix::read_blocks(reader, session, key_id, info)?);
        }
        Ok(Self {
            plan: Arc::new(plan),
            side,
            blocks,
        })
    }
}
