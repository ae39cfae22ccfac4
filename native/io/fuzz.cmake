ringtap_fuzz(decompress SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/decompress_fuzz.cc LINK ringtap_io)
ringtap_fuzz(section_index SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/section_index_fuzz.cc LINK ringtap_io)
ringtap_fuzz(recovery SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/recovery_fuzz.cc LINK ringtap_io ringtap_format)
