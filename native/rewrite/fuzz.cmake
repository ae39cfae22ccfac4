ringtap_fuzz(rewrite SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/rewrite_fuzz.cc LINK ringtap_rewrite)
