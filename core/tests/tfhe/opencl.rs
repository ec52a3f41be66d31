//! Look-ups on an OpenCL device: the words of the CPU, and nothing moves between two of them.

#![allow(clippy::print_stderr)] // says why nothing was tested

use ringloom::{
    open_device,
    serial::{Decode, Encode},
    tfhe::{LookUpTable, LweBatch, TfheKeys, TfheSession},
};

use super::{Party, TOY, TOY_THREES};

const LIMIT: u64 = 1 << 24;

#[test]
fn no_byte_moves_between_look_ups_on_an_opencl_device() {
    let device = match open_device("opencl", None) {
        Ok(device) => device,
        Err(error) => {
            // `make test` installs a runtime, so there it may not be missing.
            assert!(
                std::env::var_os("RINGLOOM_NEED_OPENCL").is_none(),
                "{error}"
            );
            return eprintln!("not run here: {error}");
        }
    };
    for literal in [TOY, TOY_THREES] {
        let mut party = Party::toy(&literal);
        let values: Vec<i64> = (-3..=4).chain(-3..=0).collect();
        let input = party
            .secret
            .encrypt_with(&values, -3..=4, &mut party.random);
        let input = input.unwrap().to_bytes().unwrap();
        let run = |session: &TfheSession| {
            let keys = TfheKeys::load(session, &party.seeded).unwrap();
            let square = LookUpTable::new(session, -3..=4, |v| v * v % 5).unwrap();
            let less = LookUpTable::new(session, 0..=4, |v| v - 2).unwrap();
            // The second run shows that the first one left nothing to be sent later.
            [(); 2].map(|()| {
                let x = LweBatch::from_bytes(&input, session, LIMIT).unwrap();
                let before = session.ring().stats();
                let y = keys.look_up(&x, &square).unwrap();
                let y = keys.look_up(&y, &less).unwrap();
                let after = session.ring().stats();
                let moved = (
                    after.bytes_h2d - before.bytes_h2d,
                    after.bytes_d2h - before.bytes_d2h,
                    after.host_fallback_cmds,
                );
                (y.to_bytes().unwrap(), moved)
            })
        };
        let on_device = TfheSession::new(party.session.params(), &*device).unwrap();
        let [(want, _), _] = run(&party.session);
        for (got, moved) in run(&on_device) {
            assert!(got == want, "words differ from the CPU's");
            assert_eq!(moved, (0, 0, 0));
        }
        let result = LweBatch::from_bytes(&want, &party.session, LIMIT).unwrap();
        let expected: Vec<i64> = values.iter().map(|v| v * v % 5 - 2).collect();
        assert_eq!(party.secret.decrypt(&result).unwrap(), expected);
    }
}
