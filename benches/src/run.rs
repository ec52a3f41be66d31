//! Groups of processes that take their samples in turns.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::{
    Result,
    case::Sample,
    child::{Child, ProcessPeer},
    ids, peers,
    report::{Environment, Ratio, Record, load, quantile, spread},
    worker::Request,
};

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Program whose `worker` command runs a case.
    pub program: PathBuf,
    /// Name of the device.
    pub device: String,
    /// Threads of the device.
    pub threads: usize,
    /// Toy sizes, one sample.
    pub smoke: bool,
    /// Samples per id, and so pairs per ratio.
    pub samples: usize,
    /// Weights of the digit network.
    pub digits: Option<PathBuf>,
    /// Folder of the peers' environments; none runs no peer.
    pub peers: Option<PathBuf>,
    /// Machine and build, asked once: the working tree may change during a run.
    pub environment: Environment,
}

/// The peers that were asked for.
#[derive(Default)]
pub struct Peers {
    processes: Vec<ProcessPeer>,
    /// Every peer's ids, in reach or not.
    ids: Vec<String>,
    /// Name, and why it does not run here.
    missing: Vec<(&'static str, String)>,
}

/// What the ids of a run turned into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Ours ran and was right.
    Verified,
    /// Ours failed or was wrong.
    Failed,
}

impl Peers {
    /// Starts those that were asked for and are there.
    pub fn start(options: &Options) -> Self {
        let mut found = Self::default();
        let Some(folder) = &options.peers else {
            return found;
        };
        for name in peers::NAMES {
            let ours = ids::all();
            let ring = ours.iter().filter(|id| id.starts_with("ring/"));
            found.ids.extend(ring.map(|id| format!("peer/{name}/{id}")));
            if peers::names().iter().all(|(n, _)| *n != name) {
                let reason = "not in this binary; build it with --features peers";
                found.missing.push((name, reason.into()));
            }
        }
        // Scalar code stands beside scalar code.
        let stands = |name: &&str| *name != "tfhe-ntt-scalar" || options.device == "cpu-scalar";
        for name in ProcessPeer::NAMES.into_iter().filter(stands) {
            found.ids.extend(ProcessPeer::ids(name));
            match ProcessPeer::start(name, folder, options.threads) {
                Ok(peer) => found.processes.push(peer),
                Err(e) => found.missing.push((name, e.to_string())),
            }
        }
        found
    }

    /// Every peer id that was asked for.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Peers that do not run here.
    pub fn missing(&self) -> &[(&'static str, String)] {
        &self.missing
    }
}

/// A process of a group with its samples.
struct Member {
    id: String,
    device: String,
    /// None: the peer at this index of the list, whose process outlives the group.
    own: Option<Child>,
    process: usize,
    calls: Option<u64>,
    facts: Map<String, Value>,
    samples: Vec<Sample>,
}

/// Runs one of our ids with the peers beside it. Ours comes first in the records.
///
/// # Errors
/// When no process can be started.
pub fn group(options: &Options, peers: &mut Peers, id: &str) -> Result<(Outcome, Vec<Record>)> {
    let mut members = Vec::new();
    match Member::ours(options, id, id) {
        Ok(member) => members.push(member),
        Err(e) => {
            let record = Record {
                failed: Some(e.to_string()),
                ..Record::empty(options, id, &options.device)
            };
            return Ok((Outcome::Failed, vec![record]));
        }
    }
    let mut absent = Vec::new();
    for peer in ids::beside(id, &peers.ids) {
        let name = peer.split('/').nth(1).unwrap_or_default();
        let missing = peers.missing.iter().find(|(n, _)| *n == name);
        let member = match missing {
            Some((_, reason)) => Err(reason.clone().into()),
            None => Member::peer(options, peers, &peer, &members),
        };
        match member {
            Ok(member) => members.push(member),
            Err(e) => absent.push((peer, e.to_string())),
        }
    }
    for round in 0..options.samples {
        // Another one begins each round, so that nobody always follows the same neighbour.
        for turn in 0..members.len() {
            let index = (round + turn) % members.len();
            let answer = members[index].ask(peers, &Request::Sample)?;
            members[index].samples.push(serde_json::from_value(answer)?);
        }
    }
    let mut records = Vec::new();
    for member in &mut members {
        let verdict = member.ask(peers, &Request::Finish)?;
        records.push(member.record(options, &verdict));
    }
    let ours = members[0].samples.clone();
    // Toy sizes differ from library to library, so they have no ratio.
    let compared = if options.smoke { 0 } else { members.len() };
    for (theirs, member) in members.iter().enumerate().take(compared).skip(1) {
        let verified = records[0].verified && records[theirs].verified;
        let ratio = Ratio::new(&member.id, &ours, &member.samples, verified);
        records[0].ratios.push(ratio);
    }
    for (peer, reason) in absent {
        records[0].ratios.push(Ratio::missing(&peer, &reason));
        records.push(Record {
            not_run_here: Some(reason),
            ..Record::empty(options, &peer, "none")
        });
    }
    let outcome = if records[0].verified {
        Outcome::Verified
    } else {
        Outcome::Failed
    };
    Ok((outcome, records))
}

impl Member {
    fn ours(options: &Options, id: &str, name: &str) -> Result<Self> {
        let child = Child::worker(&options.program)?;
        Self::prepare(options, &mut Peers::default(), name, id, Some(child), 0)
    }

    /// A peer of a group that has some members already.
    fn peer(options: &Options, peers: &mut Peers, id: &str, others: &[Self]) -> Result<Self> {
        let name = id.split('/').nth(1).unwrap_or_default();
        let process = peers.processes.iter().position(|p| p.name == name);
        let Some(index) = process else {
            let mut member = Self::ours(options, id, id)?;
            let version = peers::names().into_iter().find(|(n, _)| *n == name);
            member.device = version.map_or(name.into(), |(n, v)| format!("{n} {v}"));
            return Ok(member);
        };
        let rest = id.strip_prefix("peer/").and_then(|r| r.split_once('/'));
        let theirs = rest.map_or(id, |r| r.1);
        // A process serves one id at a time.
        let taken = others.iter().any(|m| m.own.is_none() && m.process == index);
        let own = match (&options.peers, taken) {
            (Some(folder), true) => {
                let name = peers.processes[index].name;
                Some(ProcessPeer::start(name, folder, options.threads)?.child)
            }
            _ => None,
        };
        let mut member = Self::prepare(options, peers, id, theirs, own, index)?;
        member.device = format!("{name} {}", peers.processes[index].version);
        Ok(member)
    }

    fn prepare(
        options: &Options,
        peers: &mut Peers,
        id: &str,
        request: &str,
        own: Option<Child>,
        process: usize,
    ) -> Result<Self> {
        let mut member = Self {
            id: id.to_owned(),
            device: options.device.clone(),
            own,
            process,
            calls: None,
            facts: Map::new(),
            samples: Vec::new(),
        };
        let answer = member.ask(
            peers,
            &Request::Prepare {
                id: request.to_owned(),
                device: options.device.clone(),
                threads: options.threads,
                smoke: options.smoke,
                digits: options.digits.clone(),
            },
        )?;
        if let Some(device) = answer["device"].as_str() {
            device.clone_into(&mut member.device);
        }
        member.calls = answer["calls"].as_u64();
        member.facts = answer["facts"].as_object().cloned().unwrap_or_default();
        Ok(member)
    }

    fn ask(&mut self, peers: &mut Peers, request: &Request) -> Result<Value> {
        let child = match &mut self.own {
            Some(child) => child,
            None => &mut peers.processes[self.process].child,
        };
        let answer = child.ask(request);
        answer.map_err(|e| format!("{}: {e}", self.id).into())
    }

    fn record(&self, options: &Options, verdict: &Value) -> Record {
        let wall: Vec<f64> = self.samples.iter().map(|s| s.ns).collect();
        let cpu: Vec<f64> = self.samples.iter().map(|s| s.cpu_ns).collect();
        Record {
            median_ns: quantile(&wall, 0.5),
            spread: spread(&wall),
            median_cpu_ns: quantile(&cpu, 0.5),
            spread_cpu: spread(&cpu),
            peak_bytes: verdict["peak_bytes"].as_u64(),
            max_error: verdict["max_error"].as_f64(),
            verified: verdict["verified"].as_bool() == Some(true),
            samples: self.samples.len(),
            calls: self.calls,
            facts: self.facts.clone(),
            ..Record::empty(options, &self.id, &self.device)
        }
    }
}

impl Record {
    /// Without a result.
    fn empty(options: &Options, id: &str, device: &str) -> Self {
        Self {
            id: id.to_owned(),
            device: device.to_owned(),
            threads: options.threads,
            median_ns: None,
            spread: None,
            median_cpu_ns: None,
            spread_cpu: None,
            peak_bytes: None,
            max_error: None,
            verified: false,
            samples: 0,
            calls: None,
            not_run_here: None,
            failed: None,
            ratios: Vec::new(),
            facts: Map::new(),
            smoke: options.smoke,
            load: load(),
            environment: options.environment.clone(),
        }
    }
}
