//! `report --iis-log`: IIS's logs beside captures.

mod effects;
mod live;
mod made;
mod matched;
mod odd;
