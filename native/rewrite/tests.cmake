ringtap_test(rewrite SOURCES ${CMAKE_SOURCE_DIR}/native/test/rewrite_test.cc LINK ringtap_rewrite)
