ringtap_fuzz(dissector SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/dissector_fuzz.cc LINK ringtap_protocol)
