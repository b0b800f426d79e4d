//! How fast a stream goes through the redactor where no secret is in it: `ci/bench inner`.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::time::Instant;

use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;

const LINE: &[u8] =
    br#"{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"GET /orders/17 200 12ms"}"#;

fn main() {
    let mut input = Vec::new();
    while input.len() < 64 << 20 {
        input.extend_from_slice(LINE);
        input.push(b'\n');
    }
    for secrets in [1_u64, 30] {
        let redactor = Redactor::new();
        for i in 0..secrets {
            let text = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i + 1);
            redactor.add("s", &Secret::new(format!("{text:016x}/+&{i}")));
        }
        let mut out = Vec::with_capacity(input.len());
        let begun = Instant::now();
        let mut stream = redactor.stream();
        for piece in input.chunks(16 << 10) {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        let took = begun.elapsed().as_secs_f64();
        assert!(out == input, "nothing of it is a secret");
        println!(
            "redaction with {secrets} secrets: {:.0} MB/s",
            input.len() as f64 / 1e6 / took
        );
    }
}
