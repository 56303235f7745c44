//! The little of vector algebra that motions need.

/// x, y, z.
pub(super) type Vec3 = [f64; 3];

pub(super) fn add([ax, ay, az]: Vec3, [bx, by, bz]: Vec3) -> Vec3 {
    [ax + bx, ay + by, az + bz]
}

pub(super) fn scale(vector: Vec3, factor: f64) -> Vec3 {
    vector.map(|part| part * factor)
}

pub(super) fn dot([ax, ay, az]: Vec3, [bx, by, bz]: Vec3) -> f64 {
    ax * bx + ay * by + az * bz
}

pub(super) fn cross([ax, ay, az]: Vec3, [bx, by, bz]: Vec3) -> Vec3 {
    [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
}

pub(super) fn norm(vector: Vec3) -> f64 {
    dot(vector, vector).sqrt()
}

/// The same direction at length 1; no direction stays none.
pub(super) fn unit(vector: Vec3) -> Vec3 {
    let length = norm(vector);
    if length > 0.0 { scale(vector, 1.0 / length) } else { vector }
}

/// 0 to 180; 0 where one has no direction.
pub(super) fn angle_deg(a: Vec3, b: Vec3) -> f64 {
    norm(cross(a, b)).atan2(dot(a, b)).to_degrees()
}
