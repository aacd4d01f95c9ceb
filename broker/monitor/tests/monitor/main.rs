//! The pages of a live server: real clients, a JetStream on a simulated disk, real HTTP.

mod http;
mod pages;
mod scrape;
mod support;
