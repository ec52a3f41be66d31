//! Keys at rest as Python classes: frames, opened where their parameters are known.

/// A class of public keys with everything that such a class has in Python: `key_class!(Class, the
/// kind of its frame, what the frame holds, the parameters that open it)`, and more methods where it has them.
macro_rules! key_class {
    ($(#[$doc:meta])* $class:ident, $kind:ident, $key:ty, $params:ty $(, $($more:tt)+)?) => {
        $(#[$doc])*
        #[pyclass(module = "ringloom", frozen)]
        pub struct $class($crate::wire::Frame);

        impl $class {
            pub fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
                let op = concat!(stringify!($class), ".from_bytes");
                let kind = ringloom::serial::Kind::$kind;
                Ok(Self($crate::wire::Frame::new(op, kind, bytes)?))
            }

            /// Reads and checks the keys.
            pub fn open(&self, params: &$params) -> ringloom::Result<$key> {
                let limit = self.0.bytes.len() as u64;
                <$key as ringloom::serial::Decode>::from_bytes(&self.0.bytes, params, limit)
            }
        }

        #[pymethods]
        impl $class {
            /// Identity of the secret key, as hexadecimal digits.
            #[getter]
            fn key_id(&self) -> String {
                $crate::params::hex(self.0.header.key_bytes())
            }

            /// Identity of the parameters, as hexadecimal digits.
            #[getter]
            fn params_id(&self) -> String {
                $crate::params::hex(self.0.header.params_id().as_bytes())
            }

            /// Size in bytes.
            #[getter]
            fn nbytes(&self) -> usize {
                self.0.bytes.len()
            }

            /// As bytes.
            fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, pyo3::types::PyBytes> {
                pyo3::types::PyBytes::new(py, &self.0.bytes)
            }

            /// From bytes; what uses them checks them.
            #[staticmethod]
            fn from_bytes(data: &[u8]) -> $crate::errors::Result<Self> {
                Ok(Self::closed(data.to_vec())?)
            }

            /// Writes a file.
            fn save(&self, py: Python<'_>, path: std::path::PathBuf) -> $crate::errors::Result<()> {
                let op = concat!(stringify!($class), ".save");
                Ok(py.detach(|| $crate::wire::write(op, &path, &self.0.bytes))?)
            }

            /// Reads a file of at most `max_bytes`; what uses the keys checks them.
            #[staticmethod]
            #[pyo3(signature = (path, *, max_bytes=$crate::wire::MAX_FILE_BYTES))]
            fn load(
                py: Python<'_>,
                path: std::path::PathBuf,
                max_bytes: u64,
            ) -> $crate::errors::Result<Self> {
                let op = concat!(stringify!($class), ".load");
                Ok(py.detach(|| Self::closed($crate::wire::read(op, &path, max_bytes)?))?)
            }

            $($($more)+)?

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<$crate::convert::Reduced<'py>> {
                $crate::convert::reduce(py, stringify!($class), self.to_bytes(py), true)
            }

            fn __repr__(&self) -> String {
                format!(
                    "{}(key={}, params={}, {})",
                    stringify!($class),
                    $crate::params::hex(&self.0.header.key_bytes()[..6]),
                    self.0.header.params_id(),
                    $crate::convert::bytes_text(self.0.bytes.len() as u64)
                )
            }
        }
    };
}

pub(crate) use key_class;
