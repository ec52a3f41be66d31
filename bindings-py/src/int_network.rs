//! Networks of integers: written, compiled, encrypted, run.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use numpy::{IntoPyArray, PyArrayDyn, ndarray::ArrayD};
use pyo3::{IntoPyObjectExt, prelude::*, types::PyBytes};
use ringloom::{
    Error,
    serial::{Decode, Encode, Kind},
    tfhe::{
        EncryptedIntServer, IntFunction, IntLayer, IntMatrix, IntOutput, IntServer, LweBatch,
        TfheKeys, TfheParams,
    },
};

use crate::{
    convert::{ReducedCall, bytes_text, integers, reduce_layer, shape_text},
    errors::{Failure, Result},
    int_client::{IntCiphertext, IntParams},
    int_keys::EncryptedIntNetwork,
    int_tensor::{IntSession, IntTensor},
    progress::Progress,
    wire::{self, Frame},
};

/// `f(W @ x + b)` on integers, `f` by a look-up. Without `f` the sums are the layer's results.
#[pyclass(module = "ringloom", frozen)]
pub struct IntLinear {
    weights: IntMatrix,
    bias: Vec<i64>,
    activation: Option<Py<PyAny>>,
    name: Option<String>,
}

/// A compiled network of integers, weights in the clear: every sum is known to fit, and every
/// look-up to fail no more often than the parameters say.
#[pyclass(module = "ringloom", frozen)]
pub struct IntNetwork {
    pub inner: ringloom::tfhe::IntNetwork,
    frame: Frame,
}

/// A network on the device of a session. Immutable; holds no secret and cannot decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct IntModel {
    keys: Arc<TfheKeys>,
    server: Server,
    output: IntOutput,
}

/// A function, bytes and the parameters that they are read for.
type NetworkReduced<'py> = (Bound<'py, PyAny>, (Bound<'py, PyBytes>, IntParams));

enum Server {
    Plain(IntServer),
    Encrypted(EncryptedIntServer),
}

#[pymethods]
impl IntLinear {
    /// A matrix of integers with one row per output, and optional biases. `activation` takes and
    /// gives an integer; it is called once for each integer that a sum may be, when a network is
    /// compiled. `name` is what errors call the layer.
    #[new]
    #[pyo3(signature = (weights, bias=None, activation=None, *, name=None))]
    fn new(
        weights: &Bound<'_, PyAny>,
        bias: Option<&Bound<'_, PyAny>>,
        activation: Option<&Bound<'_, PyAny>>,
        name: Option<String>,
    ) -> Result<Self> {
        let op = "IntLinear";
        let matrix = integers(op, weights)?;
        let [rows, columns] = *matrix.shape else {
            return Err(Failure::shape(op, "a 2-D array", shape_text(&matrix.shape)));
        };
        let bound = matrix.values.iter().map(|w| w.unsigned_abs()).max();
        let entries = matrix.values.clone();
        let weights = IntMatrix::new((rows, columns), bound.unwrap_or(1).max(1), entries);
        let bias = match bias {
            None => vec![0; rows],
            Some(bias) => {
                let bias = integers(op, bias)?;
                if *bias.shape != [rows] {
                    let expected = format!("a bias for each of {rows} rows");
                    return Err(Failure::shape(op, expected, shape_text(&bias.shape)));
                }
                bias.values.clone()
            }
        };
        if let Some(activation) = activation
            && !activation.is_callable()
        {
            let got = activation.get_type().name()?;
            return Err(Failure::type_error(format!(
                "{op}: not a function, expected an activation of one integer, got {got}; pass a \
                 callable"
            )));
        }
        Ok(Self {
            weights: weights.map_err(ringloom::Error::from)?,
            bias,
            activation: activation.map(|f| f.clone().unbind()),
            name,
        })
    }

    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.weights.rows(), self.weights.columns())
    }

    /// A copy of the matrix.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<i64>> {
        let rows = (0..self.weights.rows()).flat_map(|row| self.weights.row(row));
        array(
            py,
            vec![self.shape().0, self.shape().1],
            rows.copied().collect(),
        )
    }

    /// A copy of the biases.
    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<i64>> {
        array(py, vec![self.bias.len()], self.bias.clone())
    }

    /// The function that is looked up, or None.
    #[getter]
    fn activation(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.activation.as_ref().map(|f| f.clone_ref(py))
    }

    /// What errors call the layer, or None for its place.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let arguments = (self.weights(py), self.bias(py), self.activation(py));
        let options = [("name", self.name().into_bound_py_any(py)?)];
        reduce_layer(py, "IntLinear", arguments.into_pyobject(py)?, options)
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.shape();
        let look_up = if self.activation.is_some() {
            ", looked up"
        } else {
            ""
        };
        format!("IntLinear({columns} -> {rows}{look_up})")
    }
}

impl IntLinear {
    /// The layer, whose function keeps what it raises.
    fn layer(&self, py: Python<'_>, index: usize, raised: &Raised) -> IntLayer {
        let activation = self.activation.as_ref().map(|f| {
            let (f, raised) = (f.clone_ref(py), raised.clone());
            IntFunction::new(move |v| raised.call(&f, v))
        });
        IntLayer {
            name: self.name.clone().unwrap_or_else(|| index.to_string()),
            weights: self.weights.clone(),
            bias: self.bias.clone(),
            activation,
        }
    }
}

/// What a function raised first while the library called it.
#[derive(Clone, Default)]
struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// The function's value; 0 once something was raised, because the network is refused then.
    fn call(&self, f: &Py<PyAny>, v: i64) -> i64 {
        let called = Python::attach(|py| f.call1(py, (v,))?.extract(py));
        called.unwrap_or_else(|error| {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert(error);
            0
        })
    }

    fn check(&self) -> Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl IntNetwork {
    fn closed(inner: ringloom::tfhe::IntNetwork) -> ringloom::Result<Self> {
        let frame = Frame::new(FROM_BYTES, Kind::IntNetwork, inner.to_bytes()?)?;
        Ok(Self { inner, frame })
    }

    fn opened(data: &[u8], params: &TfheParams) -> ringloom::Result<Self> {
        let limit = data.len() as u64;
        let inner = ringloom::tfhe::IntNetwork::from_bytes(data, params, limit)?;
        Self::closed(inner)
    }
}

const FROM_BYTES: &str = "IntNetwork.from_bytes";

#[pymethods]
impl IntNetwork {
    /// Checks layers against parameters, for inputs of a range, its ends included. `output` is what
    /// is made of the last layer's results: `values`, the largest (`max`), or its place (`argmax`).
    /// Refused with the layer's name: sums that may leave the range of messages, and too much noise.
    #[new]
    #[pyo3(signature = (layers, *, params=None, inputs=(0, 1), output="values"))]
    fn new(
        py: Python<'_>,
        layers: Vec<PyRef<'_, IntLinear>>,
        params: Option<&IntParams>,
        inputs: (i64, i64),
        output: &str,
    ) -> Result<Self> {
        let op = "IntNetwork";
        let params = match params {
            Some(params) => params.0.clone(),
            None => TfheParams::new(4, ringloom::tfhe::Failure::Below128)?,
        };
        let output = match output {
            "values" => IntOutput::Values,
            "max" => IntOutput::Max,
            "argmax" => IntOutput::Argmax,
            other => {
                return Err(Failure::Library(Error::UnknownName {
                    op,
                    what: "output",
                    expected: "values, max or argmax".into(),
                    got: other.to_owned(),
                }));
            }
        };
        if layers.is_empty() {
            return Err(Failure::shape(op, "one layer or more", "none"));
        }
        let raised = Raised::default();
        let layers = layers.iter().enumerate();
        let layers = layers.map(|(i, layer)| layer.layer(py, i, &raised));
        let (low, high) = inputs;
        let inner = ringloom::tfhe::IntNetwork::compile(&params, low..=high, layers.collect());
        raised.check()?;
        Ok(Self::closed(inner?.with_output(output)?)?)
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> IntParams {
        IntParams(self.inner.params().clone())
    }

    /// Least and largest input.
    #[getter]
    fn inputs(&self) -> (i64, i64) {
        self.inner.inputs()
    }

    /// What is made of the last layer's results: `values`, `max` or `argmax`.
    #[getter]
    fn output(&self) -> &'static str {
        match self.inner.output() {
            IntOutput::Values => "values",
            IntOutput::Max => "max",
            IntOutput::Argmax => "argmax",
        }
    }

    /// Entries of an input and of an output.
    #[getter]
    fn widths(&self) -> (usize, usize) {
        self.inner.widths().expect("there is a layer")
    }

    /// Look-ups of one input, without those of the output.
    #[getter]
    fn look_ups(&self) -> usize {
        self.inner.look_ups()
    }

    /// Logarithm of the probability that any look-up of one input fails, at most, those of the
    /// output not counted.
    #[getter]
    fn log2_failure(&self) -> f64 {
        self.inner.log2_failure()
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.frame.bytes.len()
    }

    /// The network on numbers: a vector, or the rows of a matrix. What is encrypted gives the same.
    fn clear<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyArrayDyn<i64>>> {
        let op = "IntNetwork.clear";
        let x = integers(op, x)?;
        let count = rows(op, &x.shape, self.widths().0)?;
        let of = |row| self.inner.run_clear(row);
        let results = x.values.chunks_exact(self.widths().0).map(of);
        let results = results.collect::<ringloom::Result<Vec<_>>>()?.concat();
        let shape = result_shape(x.shape.len(), count, results.len(), self.inner.output());
        Ok(array(py, shape, results))
    }

    /// The network as bytes, weights in the clear.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.bytes)
    }

    /// A network from its bytes, for the parameters that it was compiled for.
    #[staticmethod]
    fn from_bytes(data: &[u8], params: &IntParams) -> Result<Self> {
        Ok(Self::opened(data, &params.0)?)
    }

    /// Writes a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("IntNetwork.save", &path, &self.frame.bytes))?)
    }

    /// Reads a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, params, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, params: &IntParams, max_bytes: u64) -> Result<Self> {
        let read = || {
            let bytes = wire::read("IntNetwork.load", &path, max_bytes)?;
            Self::opened(&bytes, &params.0)
        };
        Ok(py.detach(read)?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<NetworkReduced<'py>> {
        let make = py.import("ringloom._pickle")?.getattr("int_network")?;
        Ok((make, (self.to_bytes(py), self.params())))
    }

    fn __repr__(&self) -> String {
        let (inputs, outputs) = self.widths();
        format!(
            "IntNetwork({inputs} -> {outputs}, output='{}', look_ups={}, params={}, {})",
            self.output(),
            self.look_ups(),
            self.inner.params(),
            bytes_text(self.frame.bytes.len() as u64)
        )
    }
}

#[pymethods]
impl IntModel {
    /// Brings a network to a session's device: an `IntNetwork`, or an `EncryptedIntNetwork`, whose
    /// weights the server does not see.
    #[new]
    fn new(py: Python<'_>, session: &IntSession, network: &Bound<'_, PyAny>) -> Result<Self> {
        let keys = session.keys.clone();
        let params = keys.session().params();
        let (server, output) = if let Ok(network) = network.cast::<IntNetwork>() {
            let network = &network.get().inner;
            let server = py.detach(|| network.load(keys.session()))?;
            (Server::Plain(server), network.output())
        } else if let Ok(network) = network.cast::<EncryptedIntNetwork>() {
            let network = network.get();
            let loaded = py.detach(|| {
                let network = network.open(params)?;
                let (expected, got) = (keys.key_id(), network.key_id());
                if expected != got {
                    let op = "IntModel";
                    let (expected, got) = (expected.to_string(), got.to_string());
                    return Err(Error::KeyMismatch { op, expected, got });
                }
                Ok((network.load(keys.session())?, network.output()))
            });
            let (server, output) = loaded?;
            (Server::Encrypted(server), output)
        } else {
            return Err(Failure::type_error(format!(
                "IntModel: not a network, expected an IntNetwork or an EncryptedIntNetwork, got {}; \
                 compile one first",
                network.get_type().name()?
            )));
        };
        Ok(Self {
            keys,
            server,
            output,
        })
    }

    /// The network on encrypted inputs of `IntClient.encrypt_inputs`, a vector or rows: equal to
    /// `IntNetwork.clear`, value for value. An `IntTensor` gives an `IntTensor`, which only networks
    /// with weights in the clear take; an `IntCiphertext` gives an `IntCiphertext`.
    #[pyo3(signature = (x, *, progress=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let op = "IntModel.run";
        if let Ok(x) = x.cast::<IntTensor>() {
            let Server::Plain(server) = &self.server else {
                return Err(Failure::type_error(format!(
                    "{op}: the weights are encrypted, expected packed inputs, got an IntTensor; pass \
                     the ciphertext of IntClient.encrypt_inputs(network, x)"
                )));
            };
            let x = x.get();
            let result = self.plain(py, server, (&x.batch, &x.shape), progress)?;
            let tensor = x.shaped(result.0, result.1);
            return Ok(tensor.into_bound_py_any(py)?);
        }
        let Ok(x) = x.cast::<IntCiphertext>() else {
            return Err(Failure::type_error(format!(
                "{op}: not encrypted integers, expected an IntCiphertext or an IntTensor, got {}; \
                 encrypt with IntClient.encrypt_inputs",
                x.get_type().name()?
            )));
        };
        let x = x.get();
        let (batch, shape) = match &self.server {
            Server::Plain(server) => {
                let (shape, batch) = py.detach(|| x.open(self.keys.session()))?;
                self.plain(py, server, (&batch, &shape), progress)?
            }
            Server::Encrypted(server) => self.packed(py, server, x, progress)?,
        };
        let result = py.detach(|| IntCiphertext::close(&batch, &shape))?;
        Ok(result.into_bound_py_any(py)?)
    }

    #[pyo3(signature = (x, *, progress=None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.run(py, x, progress)
    }

    /// Whether the weights are encrypted.
    #[getter]
    fn encrypted_weights(&self) -> bool {
        matches!(self.server, Server::Encrypted(_))
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> IntParams {
        IntParams(self.keys.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.keys.session().device().to_owned()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        crate::params::hex(self.keys.key_id().as_bytes())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "IntModel: holds a device, expected something that may be pickled, got a model; pickle \
             its network and keys, and make a model where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let weights = if self.encrypted_weights() {
            "encrypted weights"
        } else {
            "weights in the clear"
        };
        format!(
            "IntModel({weights}, device='{}', key={})",
            self.device(),
            self.keys.key_id()
        )
    }
}

impl IntModel {
    fn plain(
        &self,
        py: Python<'_>,
        server: &IntServer,
        (batch, shape): (&LweBatch, &[usize]),
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<(LweBatch, Vec<usize>)> {
        let (columns, _) = server.network().widths().expect("there is a layer");
        let count = rows("IntModel.run", shape, columns)?;
        let mut progress = Progress::new(progress.as_ref(), py, "look-ups")?;
        let result = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            server.run(&self.keys, batch, report)
        });
        progress.finish(py)?;
        self.shaped(result?, shape.len(), count)
    }

    fn packed(
        &self,
        py: Python<'_>,
        server: &EncryptedIntServer,
        x: &IntCiphertext,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<(LweBatch, Vec<usize>)> {
        let shape = x.shape_of();
        let count = rows("IntModel.run", shape, server.columns())?;
        let batch = py.detach(|| x.open_packed(self.keys.session()))?;
        let mut progress = Progress::new(progress.as_ref(), py, "layers")?;
        let result = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            server.run(&self.keys, &batch, report)
        });
        progress.finish(py)?;
        self.shaped(result?, shape.len(), count)
    }

    fn shaped(&self, batch: LweBatch, ndim: usize, count: usize) -> Result<(LweBatch, Vec<usize>)> {
        let shape = result_shape(ndim, count, batch.len(), self.output);
        Ok((batch, shape))
    }
}

/// Inputs of a network in an array: a vector is one, a matrix has one in each row.
fn rows(op: &'static str, shape: &[usize], columns: usize) -> Result<usize> {
    match *shape {
        [length] if length == columns => Ok(1),
        [count, length] if length == columns && count > 0 => Ok(count),
        _ => {
            let expected = format!("a vector of {columns} entries or rows of them");
            Err(Failure::shape(op, expected, shape_text(shape)))
        }
    }
}

/// Shape of the results of `count` inputs, of an array with as many axes.
fn result_shape(ndim: usize, count: usize, values: usize, output: IntOutput) -> Vec<usize> {
    match (ndim, output) {
        (2, IntOutput::Values) => vec![count, values / count],
        _ => vec![values],
    }
}

fn array(py: Python<'_>, shape: Vec<usize>, values: Vec<i64>) -> Bound<'_, PyArrayDyn<i64>> {
    let array = ArrayD::from_shape_vec(shape, values).expect("as many as the shape says");
    array.into_pyarray(py)
}
