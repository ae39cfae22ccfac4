ringtap_fuzz(decompress SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/decompress_fuzz.cc LINK ringtap_io)
