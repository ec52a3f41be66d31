//! Networks on images: compile, predict, run, files.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Decryptor, Error, Params,
    matrix::{EncryptedVectors, MatVec, MatVecPlan, Packing, Weights},
    model::{
        Activation, AvgPool2d, BatchNorm, CompileOptions, Conv2d, ImageShape, Layer, Linear,
        Program, Sequential, Server,
    },
    serial::{Decode, Encode, Security},
};
use ringloom_ntt::{device::Device, reference::ReferenceDevice};

fn image(channels: usize, height: usize, width: usize) -> ImageShape {
    ImageShape {
        channels,
        height,
        width,
    }
}

fn conv(shape: [usize; 4], window: (usize, usize, usize), seed: u64) -> Layer {
    let gain = 1.5 / ((shape[1] * shape[2] * shape[3]) as f64).sqrt();
    let weights = values(shape.iter().product(), seed);
    let weights = weights.iter().map(|w| w * gain).collect();
    let bias = Some(values(shape[0], seed + 1));
    Conv2d::new(shape, weights, bias, window).unwrap().into()
}

fn linear(rows: usize, columns: usize, seed: u64) -> Layer {
    let gain = 1.5 / (columns as f64).sqrt();
    let weights = values(rows * columns, seed);
    let weights = weights.iter().map(|w| w * gain).collect();
    let bias = Some(values(rows, seed + 1));
    Linear::new(rows, columns, weights, bias).unwrap().into()
}

fn norm(channels: usize, seed: u64) -> Layer {
    let v = |s| values(channels, seed + s);
    let variance: Vec<f64> = v(1).iter().map(|v| v * v + 0.5).collect();
    BatchNorm::new(&v(0), &variance, &v(2), &v(3), 1e-5)
        .unwrap()
        .into()
}

fn square() -> Layer {
    Activation::named("square", 2).unwrap().into()
}

fn pool(size: usize) -> Layer {
    AvgPool2d::new(size, size).unwrap().into()
}

fn networks() -> Vec<Sequential> {
    let on = |shape, layers| Sequential::on_images(shape, layers).unwrap();
    vec![
        // The shape of a digit network: pooling goes into the last matrix.
        on(
            image(1, 8, 8),
            vec![
                conv([4, 1, 3, 3], (1, 1, 1), 1),
                norm(4, 2),
                square(),
                pool(2),
                Layer::Flatten,
                linear(10, 64, 3),
            ],
        ),
        // Strides, groups, a normalisation of its own; ends in an image.
        on(
            image(2, 9, 7),
            vec![
                norm(2, 4),
                conv([4, 2, 3, 3], (2, 1, 1), 5),
                Activation::named("tanh", 7).unwrap().into(),
                conv([6, 2, 2, 2], (1, 0, 2), 6),
            ],
        ),
        // Larger than the slots.
        on(
            image(3, 16, 16),
            vec![conv([2, 3, 3, 3], (1, 1, 1), 7), square(), pool(4)],
        ),
    ]
}

fn inputs(net: &Sequential, count: usize) -> Vec<Vec<f64>> {
    let width = net.widths().0;
    (0..count).map(|i| values(width, 900 + i as u64)).collect()
}

fn compile(net: &Sequential) -> Program {
    let options = CompileOptions {
        params: Some(Params::insecure_toy(6).unwrap()),
        max_model_error: 1.0,
        ..CompileOptions::default()
    };
    net.compile(&inputs(net, 8), &options).unwrap()
}

/// Largest error of an encrypted run against the polynomial model.
fn run(program: &Program, batch: &[Vec<f64>]) -> f64 {
    let public = program.public();
    let p = Party::new(program.params(), &ringloom::KeyRequest::new(), 9);
    let keys = p.secret.evaluation_keys(public.key_request()).unwrap();
    let server = Server::new(&p.session, program, &keys).unwrap();
    let level = public.input_level();
    let mut worst = 0f64;
    for batch in batch.chunks(public.input().lanes) {
        let x = EncryptedVectors::encrypt(&p.encryptor, public.input(), batch, level).unwrap();
        let y = server
            .run(&x, &mut |_| std::ops::ControlFlow::Continue(()))
            .unwrap();
        let got = y.decrypt(&Decryptor::new(&p.secret)).unwrap();
        for (got, x) in got.iter().zip(batch) {
            worst = worst.max(distance(got, &program.clear(x).unwrap()));
        }
    }
    worst
}

#[test]
fn predictions_match_measurements() {
    for net in networks() {
        let program = compile(&net);
        let batch = inputs(&net, 4);
        for x in &batch {
            let (clear, forward) = (program.clear(x).unwrap(), net.forward(x).unwrap());
            assert!(distance(&clear, &forward) < 0.05, "{net:?}");
        }
        let (measured, predicted) = (run(&program, &batch), program.prediction().error);
        let bits = (predicted / measured).log2();
        assert!(
            bits.abs() < 2.5,
            "predicted {predicted:e}, measured {measured:e}, {bits:.1} bits"
        );
    }
}

#[test]
fn levels_are_those_of_matrices_and_polynomials() {
    let depths: Vec<usize> = networks()
        .iter()
        .map(|net| compile(net).prediction().depth)
        .collect();
    // Convolution, square (two: degree 2), pooling in the last matrix.
    assert_eq!(depths, [4, 6, 4]);
    let program = compile(&networks()[0]);
    let steps: Vec<&str> = program.public().steps().iter().map(|s| &*s.name).collect();
    assert_eq!(steps[0], "conv2d 1 -> 4, 3 x 3");
    assert_eq!(steps[2], "average pooling 2, linear 64 -> 10");
}

#[test]
fn convolutions_have_few_diagonals() {
    // 3 x 3 at one resolution: nine distances, whatever the number of channels.
    let program = compile(&networks()[0]);
    let rotations = program.public().key_request().rotations().count();
    assert!(rotations < 24, "{}", program.public().key_request());
}

#[test]
fn files_keep_programs() {
    for net in networks() {
        let program = compile(&net);
        let bytes = program.to_bytes().unwrap();
        let any = Security::AllowInsecure;
        let back = Program::from_bytes(&bytes, &any, bytes.len() as u64).unwrap();
        assert_eq!(back.to_bytes().unwrap(), bytes);
        let x = &inputs(&net, 1)[0];
        assert_eq!(back.clear(x).unwrap(), program.clear(x).unwrap());
        assert_eq!(back.public(), program.public());
    }
}

#[test]
fn public_parts_do_not_depend_on_weights() {
    let net = |seed| {
        let layers = vec![conv([4, 1, 3, 3], (1, 1, 1), seed), square(), pool(2)];
        Sequential::on_images(image(1, 8, 8), layers).unwrap()
    };
    // One of them with weights of zero.
    let zero = Conv2d::new([4, 1, 3, 3], vec![0.0; 36], None, (1, 1, 1)).unwrap();
    let zero = Sequential::on_images(image(1, 8, 8), vec![zero.into(), square(), pool(2)]);
    let public = |net: &Sequential| compile(net).public().clone();
    assert_eq!(public(&net(1)), public(&net(100)));
    assert_eq!(public(&net(1)), public(&zero.unwrap()));
}

#[test]
fn sparse_matrices_of_every_shape() {
    let params = Params::insecure_toy_ring(2, 5).unwrap();
    for (rows, columns, width) in [
        (1, 1, 16),
        (5, 7, 8),
        (16, 16, 16),
        (17, 3, 4),
        (3, 17, 16),
        (40, 33, 16),
        (4, 40, 2),
        (9, 4, 1),
    ] {
        // About one entry in three, some rows without any.
        let row = |i: usize| {
            let columns = (0..columns).filter(|j| (i * 7 + j * 5).is_multiple_of(3) && i % 5 != 4);
            columns.map(|j| (j, ((i * 31 + j) as f64).sin())).collect()
        };
        let weights = Weights::sparse(columns, (0..rows).map(row).collect()).unwrap();
        let packing = Packing::tiled(params.slots(), columns, width).unwrap();
        let plan = MatVecPlan::for_weights(&params, packing, 2, &weights).unwrap();
        let p = Party::new(&params, &plan.key_request(), 5);
        let bias = values(rows, 8);
        let x: Vec<Vec<f64>> = (0..packing.lanes.min(3))
            .map(|b| values(columns, b as u64))
            .collect();
        let batch = EncryptedVectors::encrypt(&p.encryptor, packing, &x, 2).unwrap();
        let resident = MatVec::from_weights(&p.session, &plan, &weights, Some(&bias)).unwrap();
        let streamed = MatVec::streamed(&p.session, &plan, &weights, Some(&bias)).unwrap();
        assert_eq!(streamed.bytes(), 0);
        for matrix in [resident, streamed] {
            let y = matrix.apply(&p.evaluator, &batch).unwrap();
            for (y, x) in y.decrypt(&p.decryptor()).unwrap().iter().zip(&x) {
                let want = weights.apply(x);
                let want: Vec<f64> = want.iter().zip(&bias).map(|(y, b)| y + b).collect();
                assert!(distance(y, &want) < 1e-6, "{rows} x {columns}");
            }
        }
    }
}

#[test]
fn bad_networks_are_refused() {
    let on = |shape, layers| Sequential::on_images(shape, layers).unwrap_err();
    let shape = |e: Error| assert!(matches!(e, Error::Shape { .. }), "{e}");
    let c = || conv([4, 1, 3, 3], (1, 1, 1), 1);
    shape(on(image(1, 8, 8), vec![]));
    shape(on(image(0, 8, 8), vec![c()]));
    shape(on(image(2, 8, 8), vec![c()]));
    shape(on(image(1, 8, 8), vec![square()]));
    shape(on(image(1, 8, 8), vec![c(), linear(2, 256, 1)]));
    shape(on(
        image(1, 8, 8),
        vec![c(), Layer::Flatten, linear(2, 255, 1)],
    ));
    shape(on(image(1, 8, 8), vec![c(), Layer::Flatten, c()]));
    shape(on(image(1, 8, 8), vec![c(), norm(3, 1)]));
    shape(on(image(1, 8, 8), vec![pool(9)]));
    shape(Sequential::new(vec![c()]).unwrap_err());
    assert!(BatchNorm::new(&[0.0], &[1.0], &[1.0; 2], &[0.0], 0.0).is_err());
    assert!(BatchNorm::new(&[], &[], &[], &[], 0.0).is_err());
    assert!(matches!(
        BatchNorm::new(&[0.0], &[-1.0], &[1.0], &[0.0], 0.0),
        Err(Error::NotFinite { .. })
    ));
    // A matrix that is not of the plan's pattern.
    let params = Params::insecure_toy_ring(2, 5).unwrap();
    let device: Arc<dyn Device> = Arc::new(ReferenceDevice::new());
    let session = ringloom::Session::new(&params, &*device).unwrap();
    let diagonal = Weights::sparse(4, (0..4).map(|i| vec![(i, 1.0)]).collect()).unwrap();
    let packing = Packing::new(16, 4, 4).unwrap();
    let plan = MatVecPlan::for_weights(&params, packing, 2, &diagonal).unwrap();
    let full = Weights::dense(4, 4, vec![1.0; 16]).unwrap();
    shape(MatVec::from_weights(&session, &plan, &full, None).unwrap_err());
    let tall = Weights::dense(5, 4, vec![1.0; 20]).unwrap();
    shape(MatVec::from_weights(&session, &plan, &tall, None).unwrap_err());
    shape(MatVec::from_weights(&session, &plan, &diagonal, Some(&[0.0; 3])).unwrap_err());
}
