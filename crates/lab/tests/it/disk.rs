//! A disk that is full.

use std::fs;
use std::io::ErrorKind;

use lab::{Scratch, SmallDisk, Suite};

#[test]
fn a_small_disk_is_full_until_it_is_freed() {
    const NAME: &str = "a small disk is full until it is freed";
    if Suite::current() == Suite::Quick {
        return lab::suite::left_out(NAME, "a user who may mount");
    }
    let scratch = Scratch::new("lab-disk").unwrap();
    let place = scratch.path().join("small");
    let disk = match SmallDisk::mount(&place, 8 << 20) {
        Ok(disk) => disk,
        Err(why) => return lab::suite::left_out(NAME, &format!("a user who may mount ({why})")),
    };
    let file = place.join("file");
    fs::write(&file, vec![1; 1 << 20]).unwrap();
    disk.fill().unwrap();
    let full = fs::write(place.join("more"), vec![1; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(fs::read(&file).unwrap().len(), 1 << 20, "what is there stays");
    disk.free().unwrap();
    fs::write(place.join("more"), vec![1; 1 << 20]).unwrap();
    assert!(fs::write(place.join("much"), vec![1; 9 << 20]).is_err(), "it has its size again");
    drop(disk);
    assert!(!file.exists(), "it is unmounted");
}
