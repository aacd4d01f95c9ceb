//! JetStream at run time: groups, assets, the API and delivery.
