//! The device where there is an OpenCL runtime; without one the tests say so and pass.

#![allow(clippy::print_stderr)] // says why nothing was tested

use super::{OpenClDevice, OpenClDeviceBuilder, Transforms};
use crate::error::Error;

mod failures;
mod hoisted;
mod launches;
mod memory;
mod opening;
mod products;
mod sharing;
mod slabs;
mod texts;
mod transforms;

/// Tiles are built without optimisation: on PoCL the compiler takes eight times as long with it.
pub(super) fn device(transforms: Transforms) -> Option<OpenClDevice> {
    // Not what is faster today.
    let mut builder = (OpenClDevice::builder().transforms(transforms)).with_doubles();
    if transforms == Transforms::Tiled {
        builder = builder.without_optimisation();
    }
    opened(builder)
}

fn opened(builder: OpenClDeviceBuilder) -> Option<OpenClDevice> {
    match builder.build() {
        Ok(device) => Some(device),
        Err(error @ Error::Unavailable { .. }) => {
            eprintln!("not tested here: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
