//! What fuzz targets do with an input: see [`decoder`].

pub mod decoder;
