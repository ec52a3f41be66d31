//! Progress of long work, shown by `ringloom._progress`.

use std::ops::ControlFlow;

use pyo3::prelude::*;

/// Reports steps to a bar or a callable, from code that has released the interpreter.
pub struct Progress {
    report: Option<Py<PyAny>>,
    error: Option<PyErr>,
}

impl Progress {
    /// `choice` is what the user passed: `None`, a boolean or a callable.
    pub fn new(choice: Option<&Bound<'_, PyAny>>, py: Python<'_>, what: &str) -> PyResult<Self> {
        let module = py.import("ringloom._progress")?;
        let report = module.call_method1("reporter", (choice, what))?;
        let report = (!report.is_none()).then(|| report.unbind());
        Ok(Self {
            report,
            error: None,
        })
    }

    /// Calls `report(done, total)`. What it raises, or a signal such as Ctrl-C, ends the work and
    /// is kept for [`Progress::finish`].
    pub fn report(&mut self, done: usize, total: usize) -> ControlFlow<()> {
        let called = Python::attach(|py| {
            py.check_signals()?;
            let Some(report) = &self.report else {
                return Ok(());
            };
            report.call1(py, (done, total)).map(drop)
        });
        match called {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Closes the bar; raises what ended the work. To be called before the work's own result is
    /// looked at.
    pub fn finish(self, py: Python<'_>) -> PyResult<()> {
        if let Some(report) = self.report {
            let report = report.bind(py);
            if report.hasattr("close")? {
                report.call_method0("close")?;
            }
        }
        self.error.map_or(Ok(()), Err)
    }
}
