//! Parameters as bytes.

use std::io::{Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use super::{Decode, Encode, Kind, NO_KEY, Reader, refuse, write_frame};
use crate::{
    error::Result,
    params::{Params, ParamsLiteral, PrimeSpec},
};

/// Longest JSON text in a frame: a rotation key for every slot of the largest ring fits.
const MAX_JSON: usize = 4 << 20;

/// What to do with parameters below 128 bits of security that come out of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Security {
    /// Refuse them, as [`Params::new`] does.
    Required,
    /// Accept them, as [`Params::insecure_new`] does: tests and examples only.
    AllowInsecure,
}

impl Security {
    /// Checks a literal that came out of bytes: primes written out, and the very ones that the
    /// checks give back.
    pub(crate) fn check(self, reader: &Reader<'_>, literal: &ParamsLiteral) -> Result<Params> {
        let mut primes = literal.chain.iter().flatten().chain(&literal.special);
        if primes.any(|p| matches!(p, PrimeSpec::Bits(_))) {
            return Err(reader.refuse("primes", "widths of primes"));
        }
        let params = match self {
            Self::Required => Params::new(literal)?,
            Self::AllowInsecure => Params::insecure_new(literal)?,
        };
        if params.literal() != literal {
            return Err(reader.refuse("checked parameters", "others"));
        }
        Ok(params)
    }
}

impl Reader<'_> {
    /// A value in JSON, in the one way in which it is written.
    pub(crate) fn json<T: Serialize + DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let text = self.block(what, MAX_JSON)?;
        let value = serde_json::from_slice(&text).map_err(|e| self.refuse(what, e))?;
        if self::text(&value) != text {
            return Err(self.refuse(format!("{what} in its one form"), "another form"));
        }
        Ok(value)
    }
}

/// JSON text of a value of this crate, to be written as a block.
pub(crate) fn json<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>> {
    let text = text(value);
    if text.len() > MAX_JSON {
        let expected = format!("at most {MAX_JSON} bytes of description");
        let remedy = "use fewer rotations or shorter names";
        return Err(refuse(kind.write_op(), expected, text.len(), remedy));
    }
    Ok(text)
}

fn text<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs, numbers and strings have JSON")
}

impl Encode for Params {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let text = json(Kind::Params, self.literal())?;
        write_frame(out, Kind::Params, self.id(), NO_KEY, |w| w.block(&text))
    }
}

impl Decode for Params {
    type Context = Security;

    fn read_from(input: &mut dyn Read, security: &Security, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::Params, limit)?;
        let literal: ParamsLiteral = reader.json("parameters")?;
        let params = security.check(&reader, &literal)?;
        header.check_params(params.id())?;
        reader.finish()?;
        Ok(params)
    }
}
