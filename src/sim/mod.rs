//! A simulated IIS and scripted clients.
