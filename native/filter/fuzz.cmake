ringtap_fuzz(filter SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/filter_fuzz.cc LINK ringtap_filter)
