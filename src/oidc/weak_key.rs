//! Finds public keys that are well formed but known to be unsafe.

/// The odd primes up to 167, which reveal ROCA keys.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The points of Ed25519 of order 1, 2, 4 and 8, each as its `y` without the highest bit, the sign of
/// `x`.
const SMALL_ORDER: [[u8; 32]; 5] = [
    with_first(0x00, 0x00, 0x00),
    with_first(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    with_first(0xec, 0xff, 0x7f),
];

const fn with_first(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Whether a prime up to 167 divides the modulus. `modulus` is big-endian.
pub(super) fn has_small_factor(modulus: &[u8]) -> bool {
    std::iter::once(2).chain(PRIMES).any(|prime| remainder(modulus, prime) == 0)
}

/// Whether the modulus comes from Infineon's faulty generator (CVE-2017-15361, "ROCA"), so that the
/// private key can be computed: modulo each small prime, it is a power of 65537. One in 2^27 moduli of
/// other generators also matches.
pub(super) fn is_of_roca(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power(65_537 % prime, remainder(modulus, *prime), *prime))
}

/// Whether this Ed25519 key has a small order, so that signatures can be made without a private key. A
/// non-canonical `y` (2^255 - 19 or more) counts too, since points of small order may be written like
/// that. `point` is 32 bytes, little-endian.
pub(super) fn is_of_small_order(point: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(point) else { return false };
    y[31] &= 0x7f;
    let not_canonical = y[0] >= 0xed && y[1..31].iter().all(|byte| *byte == 0xff) && y[31] == 0x7f;
    not_canonical || SMALL_ORDER.contains(&y)
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % divisor)
}

fn is_power(base: u32, number: u32, modulus: u32) -> bool {
    let mut power = 1;
    for _ in 0..modulus {
        if power == number {
            return true;
        }
        power = power * base % modulus;
    }
    false
}
