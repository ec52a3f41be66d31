// A process of tfhe-rs for tests of the exchange: its published build for Node.js (node-tfhe), whose
// client encrypts and decrypts. What tfhe-rs serialises holds words as lengths and little-endian
// 64-bit numbers; this script finds them by their lengths and checks what it found.
//   node tfhe_rs_node.cjs make FOLDER       a new client key, four FheUint8 and their words
//   node tfhe_rs_node.cjs decrypt FOLDER    FOLDER/results.bin as FheUint8, decrypted by tfhe-rs
//   node tfhe_rs_node.cjs vectors FILE      what the committed test vectors are made of
//   node tfhe_rs_node.cjs serialised FOLDER a client key, an FheUint8 and an FheBool, serialised
//   node tfhe_rs_node.cjs open FOLDER       FOLDER/result.bin, a serialised FheUint8, decrypted
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

// Installed by scripts/test-tfhe.sh.
const root = path.join(__dirname, "../../.venv-peers/node-tfhe/package.json");
const tfhe = createRequire(root)("node-tfhe");

const LIMIT = 1n << 26n;
const DIMENSION = 2048;
const WIDTH = DIMENSION + 1;
const VALUES = [0b11100100, 0b00011011, 201, 77];

function fail(message) {
    console.error(`tfhe_rs_node: ${message}`);
    process.exit(1);
}

// Places of vectors of `length` words, whose words `ok` accepts.
function vectors(bytes, length, ok) {
    const found = [];
    for (let at = 0; at + 8 * (length + 1) <= bytes.length; at++) {
        if (bytes.readBigUInt64LE(at) !== BigInt(length)) continue;
        let good = true;
        for (let i = 0; i < length && good; i++) good = ok(bytes.readBigUInt64LE(at + 8 + 8 * i));
        if (!good) continue;
        found.push(at + 8);
        at += 8 * (length + 1) - 1;
    }
    return found;
}

// Where the mask and body of the four blocks of an FheUint8 lie.
function blocks(bytes) {
    const found = vectors(bytes, WIDTH, () => true);
    if (found.length !== 4) fail(`expected 4 blocks of ${WIDTH} words, got ${found.length}`);
    return found;
}

function make() {
    const key = tfhe.TfheClientKey.generate(tfhe.TfheConfigBuilder.default().build());
    const bytes = Buffer.from(key.safe_serialize(LIMIT));
    const found = vectors(bytes, DIMENSION, (word) => word <= 1n);
    if (found.length !== 1) fail(`expected one big secret, got ${found.length}`);
    const secret = bytes.subarray(found[0], found[0] + 8 * DIMENSION);
    const integers = VALUES.map((value) =>
        Buffer.from(tfhe.FheUint8.encrypt_with_client_key(value, key).safe_serialize(LIMIT)),
    );
    const words = integers.flatMap((integer) =>
        blocks(integer).map((at) => integer.subarray(at, at + 8 * WIDTH)),
    );
    return { key: bytes, secret, words: Buffer.concat(words), template: integers[0] };
}

function decrypt(folder) {
    const read = (name) => fs.readFileSync(path.join(folder, name));
    const key = tfhe.TfheClientKey.safe_deserialize(read("client_key.bin"), LIMIT);
    const [template, results] = [read("template.bin"), read("results.bin")];
    const size = 4 * 8 * WIDTH;
    if (results.length === 0 || results.length % size !== 0) fail(`got ${results.length} bytes`);
    const values = [];
    for (let first = 0; first < results.length; first += size) {
        const integer = Buffer.from(template);
        blocks(template).forEach((at, i) => {
            results.copy(integer, at, first + i * 8 * WIDTH, first + (i + 1) * 8 * WIDTH);
        });
        values.push(tfhe.FheUint8.safe_deserialize(integer, LIMIT).decrypt(key));
    }
    console.log(values.join(" "));
}

const [command, target] = process.argv.slice(2);
if (command === "make") {
    const made = make();
    const write = (name, bytes) => fs.writeFileSync(path.join(target, name), bytes);
    write("client_key.bin", made.key);
    write("template.bin", made.template);
    write("secret.bin", made.secret);
    write("words.bin", made.words);
    console.log(VALUES.join(" "));
} else if (command === "decrypt") {
    decrypt(target);
} else if (command === "vectors") {
    const made = make();
    const bits = Buffer.from(Array.from({ length: DIMENSION }, (_, i) => made.secret[8 * i]));
    fs.writeFileSync(target, Buffer.concat([bits, made.words]));
} else if (command === "serialised") {
    const key = tfhe.TfheClientKey.generate(tfhe.TfheConfigBuilder.default().build());
    const write = (name, object) =>
        fs.writeFileSync(path.join(target, name), Buffer.from(object.safe_serialize(LIMIT)));
    write("client_key.bin", key);
    write("fheuint8.bin", tfhe.FheUint8.encrypt_with_client_key(VALUES[0], key));
    write("fhebool.bin", tfhe.FheBool.encrypt_with_client_key(true, key));
} else if (command === "open") {
    const read = (name) => fs.readFileSync(path.join(target, name));
    const key = tfhe.TfheClientKey.safe_deserialize(read("client_key.bin"), LIMIT);
    console.log(tfhe.FheUint8.safe_deserialize(read("result.bin"), LIMIT).decrypt(key));
} else {
    fail("expected make FOLDER, decrypt FOLDER, vectors FILE, serialised FOLDER or open FOLDER");
}
