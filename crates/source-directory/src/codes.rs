//! The diagnostic codes of this crate: findings about files rather than about what is in them.

api::codes! {
    DUPLICATE_OBJECT "MEL0010" Warning "An object is written twice, and only the first has an effect";
    UNREADABLE "MEL0011" Error "A file or directory cannot be read; what it last held stays in effect";
    VANISHED "MEL0012" Error "A named file or directory is gone; what it last held stays in effect";
    EMPTY "MEL0013" Error "A directory holds no configuration";
    NOT_WATCHED "MEL0014" Warning "A directory cannot be watched; changes are found with a delay";
    TOO_DEEP "MEL0015" Warning "A directory is nested too deeply and is not read";
    OVERRIDDEN "MEL0016" Info "The mesh configuration of an object gives way to that of the named file";
}
